"""Relaxations: how alpha becomes Z (theory page, section 1). One file a kind."""

from nni_wiring.supernet.relaxations.base import Relaxation
from nni_wiring.supernet.relaxations.softmax import Softmax

__all__ = [
    "Relaxation",
    "Softmax",
]
