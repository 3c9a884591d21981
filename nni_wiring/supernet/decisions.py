"""Edges that are decided already: their row of Z no longer follows alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

#: Edge (row of alpha) -> its operation (column), or None for an edge that was dropped.
Rows = Mapping[int, int | None]


class Decisions:
    """The decided edges of one edge group, by whichever method or selection decides.

    chosen: the operation (column of alpha) of every decided edge (row). dropped: the edges that
    their node has lost, in the order in which it lost them; a dropped edge keeps its operation in
    ``chosen`` where it had one. Plain values, so that they can be kept in a file.
    """

    def __init__(self) -> None:
        self.chosen: dict[int, int] = {}
        self.dropped: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.chosen or self.dropped)

    def rows(self) -> dict[int, int | None]:
        """The rows of Z that no longer follow alpha."""
        return {**self.chosen, **dict.fromkeys(self.dropped)}

    def state(self) -> dict[str, Any]:
        """The state that ``load`` takes."""
        return {"chosen": dict(self.chosen), "dropped": list(self.dropped)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` gave."""
        self.chosen, self.dropped = dict(state["chosen"]), list(state["dropped"])

    def clear(self) -> None:
        """Every edge follows alpha again."""
        self.chosen, self.dropped = {}, []


def decided_weights(z: torch.Tensor, rows: Rows) -> torch.Tensor:
    """z, (edges, operations), with one-hot rows for decided edges and zero rows for dropped ones.

    Gradients pass through the other rows only.
    """
    if not rows:
        return z
    fixed = torch.zeros_like(z)
    free = torch.ones_like(z)
    for edge, operation in rows.items():
        # fill_: an assignment would make the number on the host and copy it to the device
        free[edge].fill_(0)
        if operation is not None:
            fixed[edge, operation].fill_(1)
    return z * free + fixed
