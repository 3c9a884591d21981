"""The studies by name. A new study is one file with a ``STUDY`` in it and one line here."""

from __future__ import annotations

from importlib import import_module

from nni_wiring.errors import ConfigError
from nni_wiring.studies.frame import Study

#: name -> (module, what it measures); modules are imported when a study is run.
STUDIES: dict[str, str] = {
    "cost-at-initialisation": "S1: local costs with weights and alpha at their initialisation",
    "cost-after-training": "S1: the same after training on uniformly sampled operations",
    "cost-decomposition": "S1: L - H by correct and wrong samples, training and search half",
    "growing": "S1: argmax states over epochs, P1 and P2, against a random walk",
    "bilevel-failure": "S1: the same strategy single-level and bi-level, P3",
    "sensitivity": "S1: the knobs of its code",
    "width-cost": "S1: cost of the intermediate against the input edge where both are alive",
    "unified-view": "S1: every method's alpha gradient against the local cost",
    "cost-vs-truth": "ours: do cost and alpha rank operations as the truth does?",
    "strength": "S2: alpha, perturbation and discretisation accuracy as orders of operations",
    "skip-dominance": "S2: Proposition 1, alpha of skip and convolution and the variances",
    "shuffling": "S2: Table 1, shuffled layers and edges",
    "failure-spaces": "S2: magnitude against perturbation in the failure spaces",
}


def study(name: str) -> Study:
    """Load a study by name; raises ConfigError naming the known ones."""
    if name not in STUDIES:
        raise ConfigError(f"study: {name!r} is not known; allowed: {', '.join(STUDIES)}")
    found = import_module(f"nni_wiring.studies.{name.replace('-', '_')}").STUDY
    assert isinstance(found, Study)
    return found
