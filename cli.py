"""Command line of nni-wiring: `python cli.py COMMAND`, the same as the console script."""

from nni_wiring.commands import main

if __name__ == "__main__":
    main()
