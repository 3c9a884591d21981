"""Selection by magnitude: the operation of the largest probability on every edge (as in DARTS)."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.selection.base import Selection
from nni_wiring.supernet.edge_group import EdgeGroup


def magnitude(
    group: EdgeGroup, probabilities: torch.Tensor, *, allow_none: bool = True
) -> list[int]:
    """The operation (column of alpha) of the largest p(alpha) on every edge; the first wins a tie.

    probabilities: p(alpha), (edges, operations). allow_none: whether ``none`` may be chosen.
    AutoDL's NAS-Bench-201 search lets it; the original DARTS does not. An edge that allows nothing
    but ``none`` keeps it.
    """
    values = probabilities.detach().cpu().masked_fill(~group.mask.cpu(), -1.0)
    if not allow_none and "none" in group.operations:
        none = group.operations.index("none")
        for edge, row in enumerate(group.allowed):
            if len(row) > 1:
                values[edge, none] = -1.0
    return values.argmax(dim=-1).tolist()


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
