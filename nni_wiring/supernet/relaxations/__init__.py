"""Relaxations: how alpha becomes Z (theory page, section 1). One file per kind, and its name here.

``register_relaxation`` adds one from elsewhere (a decorator), ``relaxation_class`` looks one up;
both raise ConfigError. Other packages announce theirs as entry points ``nni_wiring.relaxations``.
"""

from nni_wiring.errors import ConfigError
from nni_wiring.supernet.relaxations.base import Relaxation
from nni_wiring.supernet.relaxations.decided import Decided
from nni_wiring.supernet.relaxations.dirichlet import DirichletRelaxation
from nni_wiring.supernet.relaxations.gumbel import Concrete, StraightThroughGumbel
from nni_wiring.supernet.relaxations.one_hot import BinaryGates, OneHotScore
from nni_wiring.supernet.relaxations.perturbed import PerturbedSoftmax
from nni_wiring.supernet.relaxations.sigmoid import Sigmoid
from nni_wiring.supernet.relaxations.softmax import Softmax
from nni_wiring.supernet.relaxations.top_k import TopK
from nni_wiring.supernet.relaxations.uniform import Uniform
from search_spaces.names import Registry

__all__ = [
    "RELAXATIONS",
    "BinaryGates",
    "Concrete",
    "Decided",
    "DirichletRelaxation",
    "OneHotScore",
    "PerturbedSoftmax",
    "Relaxation",
    "Sigmoid",
    "Softmax",
    "StraightThroughGumbel",
    "TopK",
    "Uniform",
    "register_relaxation",
    "relaxation_class",
]


def _check(relaxation: type[Relaxation]) -> None:
    if not (isinstance(relaxation, type) and issubclass(relaxation, Relaxation)):
        raise ConfigError(f"relaxation: {relaxation!r:.60} is not a subclass of Relaxation")


RELAXATIONS: Registry[type[Relaxation]] = Registry(
    "relaxation",
    ConfigError,
    (
        Softmax,
        Concrete,
        StraightThroughGumbel,
        Sigmoid,
        BinaryGates,
        OneHotScore,
        PerturbedSoftmax,
        DirichletRelaxation,
        Uniform,
        TopK,
    ),
    group="nni_wiring.relaxations",
    check=_check,
)
register_relaxation = RELAXATIONS.register
relaxation_class = RELAXATIONS.lookup
