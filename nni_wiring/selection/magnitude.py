"""Selection by magnitude: the operation of the largest probability on every edge (as in DARTS)."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.selection.base import Selection, magnitude
from nni_wiring.supernet.edge_group import EdgeGroup

__all__ = ["Magnitude", "MagnitudeWithoutNone", "magnitude"]


class Magnitude(Selection):
    """The largest p(alpha) on every edge."""

    name: ClassVar[str] = "magnitude"
    summary: ClassVar[str] = "the operation of the largest p(alpha) on every edge"


class MagnitudeWithoutNone(Selection):
    """The largest p(alpha) on every edge, ``none`` left out (the original DARTS)."""

    name: ClassVar[str] = "magnitude_without_none"
    summary: ClassVar[str] = "the same, but never none (the original DARTS)"

    def read(self, group: EdgeGroup, probabilities: torch.Tensor) -> list[int]:
        """See the class."""
        return magnitude(group, probabilities, allow_none=False)
