"""The studies by name. A new study is one file with a ``STUDY`` in it and one line here.

``register_study`` adds one from elsewhere; other packages announce theirs (a ``Study``, or a
``StudyEntry`` that imports it late) as entry points ``nni_wiring.studies``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from nni_wiring.errors import ConfigError
from search_spaces.names import Registry

if TYPE_CHECKING:
    from nni_wiring.studies.frame import Study


class StudyEntry(NamedTuple):
    """A study that is imported when it is run: its name, what it measures, ``module:object``."""

    name: str
    title: str
    place: str


def _check(entry: Study | StudyEntry) -> None:
    if isinstance(entry, StudyEntry):
        return
    from nni_wiring.studies.frame import Study  # its tests import scipy, which a list need not

    if not isinstance(entry, Study):
        raise ConfigError(f"study: {entry!r:.60} is not a Study or a StudyEntry")


#: name -> what it measures
_OURS: dict[str, str] = {
    "cost-at-initialisation": "S1: local costs with weights and alpha at their initialisation",
    "cost-after-training": "S1: the same after training on uniformly sampled operations",
    "cost-decomposition": "S1: L - H by correct and wrong samples, training and search half",
    "growing": "S1: argmax states over epochs, P1 and P2, against a random walk",
    "bilevel-failure": "S1: the same strategy single-level and bi-level, P3",
    "sensitivity": "S1: the knobs of its code",
    "width-cost": "S1: cost of the intermediate against the input edge where both are alive",
    "none-mechanism": "ours: S1's width preference with the operation none and without it",
    "unified-view": "S1: every method's alpha gradient against the local cost",
    "cost-vs-truth": "ours: do cost and alpha rank operations as the truth does?",
    "cost-ranks": "ours: does cost at initialisation rank cells, beside zero-cost proxies?",
    "strength": "S2: alpha, perturbation and discretisation accuracy as orders of operations",
    "skip-dominance": "S2: Proposition 1, alpha of skip and convolution and the variances",
    "shuffling": "S2: Table 1, shuffled layers and edges",
    "failure-spaces": "S2: magnitude against perturbation in the failure spaces",
    "selected-cells": "S2: kept searches: selected afterwards against the search's own cell",
    "published-topology": "S3, S1: width, depth and empty edges of published cells",
    "linear-cells": "S3: its two theorems on linear cells, formally and literally",
    "block-norms": "S3: do the convolutions of trained cells stretch or contract?",
    "controller-conditioning": "S4: does ENAS' controller condition on its past? exactly",
    "controller-states": "S4: hidden states of ENAS' controller against graph distances",
    "controller-memory": "S4: a memory buffer for the controller: hidden states and policy",
    "enas-vs-random": "S4: ENAS against random search with weight sharing, a 2 x 2 design",
    "rewired-pairs": "S3: one edge rewired, accuracy after a short and the whole training",
    "selected-speed": "S3: do searches choose cells that are fast beyond what they end at?",
    "published-order": "ours: do kept searches rank the methods as the published rows do?",
    "search-trajectories": "S1, S2: kept searches epoch by epoch: gap, skip dominance, late fall",
    "pattern-atlas": "ours: S1's patterns and expected topology of every method, three nulls",
    "early-stop": "ours: regret where rules without truth would have stopped kept searches",
    "topology-vs-truth": "S3: width and depth against accuracy, live operations equal",
    "convergence": "S3: training curves with one edge rewired, under three learning rates",
    "random-wiring": "S3: connections and operations drawn anew, widths and trainings",
    "landscape": "S3: the loss around trained cells, smoothness and gradient variance",
}

STUDIES: Registry[Study | StudyEntry] = Registry(
    "study",
    ConfigError,
    [
        StudyEntry(name, title, f"nni_wiring.studies.{name.replace('-', '_')}:STUDY")
        for name, title in _OURS.items()
    ],
    group="nni_wiring.studies",
    check=_check,
)
register_study = STUDIES.register


def study(name: str) -> Study:
    """Load a study by name; raises ConfigError naming the known ones."""
    found = STUDIES.lookup(name)
    if isinstance(found, StudyEntry):
        module, _, attribute = found.place.partition(":")
        found = getattr(import_module(module), attribute)
    from nni_wiring.studies.frame import Study

    assert isinstance(found, Study)
    return found
