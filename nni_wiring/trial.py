"""NNI's trial program: ``python -m nni_wiring.trial`` (see ``service/trial.py``)."""

from nni_wiring.service.trial import main

if __name__ == "__main__":
    main()
