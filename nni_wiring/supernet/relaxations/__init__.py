"""Relaxations: how alpha becomes Z (theory page, section 1). One file a kind."""

from nni_wiring.supernet.relaxations.base import Relaxation
from nni_wiring.supernet.relaxations.decided import Decided
from nni_wiring.supernet.relaxations.dirichlet import DirichletRelaxation
from nni_wiring.supernet.relaxations.gumbel import Concrete, StraightThroughGumbel
from nni_wiring.supernet.relaxations.one_hot import BinaryGates, OneHotScore
from nni_wiring.supernet.relaxations.perturbed import PerturbedSoftmax
from nni_wiring.supernet.relaxations.sigmoid import Sigmoid
from nni_wiring.supernet.relaxations.softmax import Softmax
from nni_wiring.supernet.relaxations.uniform import Uniform

__all__ = [
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
    "Uniform",
]
