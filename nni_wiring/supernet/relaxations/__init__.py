"""Relaxations: how alpha becomes Z (theory page, section 1). One file a kind."""

from nni_wiring.supernet.relaxations.base import Relaxation
from nni_wiring.supernet.relaxations.gumbel import Concrete, StraightThroughGumbel
from nni_wiring.supernet.relaxations.one_hot import BinaryGates, OneHotScore
from nni_wiring.supernet.relaxations.sigmoid import Sigmoid
from nni_wiring.supernet.relaxations.softmax import Softmax

__all__ = [
    "BinaryGates",
    "Concrete",
    "OneHotScore",
    "Relaxation",
    "Sigmoid",
    "Softmax",
    "StraightThroughGumbel",
]
