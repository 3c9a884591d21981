"""The three wiring patterns of Xie et al. 2021 (arXiv 2009.01272), measured on a history.

The paper names them (P1 growing, P2 width preference, P3 bi-level failure); how they are counted
here is this project's own. A history is one dict per epoch: edge name -> operation of the largest
alpha.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from search_spaces.graph import NB201, CellGraph

NONE = "none"


class Patterns(NamedTuple):
    """The pattern figures after the last epoch of a history of T epochs.

    Attributes:
        selected_edges: G(T - 1), edges whose largest alpha is not none.
        growing_index: P1, G(T - 1) minus the smallest G(t); above 0 if edges were added back.
        width_preference: P2, in epochs: recovery of the intermediate edges minus recovery of the
            input edges (means); above 0 if input edges came first; None if one never recovered.
        recovery_epochs: per edge the first epoch from which on its largest alpha is not none; 0 if
            it never was none, None if it still is.
        nothing_selected: P3, no edge is selected in the last epoch.
        counts: G(t) for every epoch.
        lowest_epoch: first epoch with the smallest G(t).
    """

    selected_edges: int
    growing_index: int
    width_preference: float | None
    recovery_epochs: dict[str, int | None]
    nothing_selected: bool
    counts: tuple[int, ...]
    lowest_epoch: int


def argmax_operations(weights: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """The operation of the largest weight on every edge; the first wins a tie.

    Args:
        weights: edge name -> operation -> alpha, or any growing function of it such as Z.
    """
    return {edge: max(values, key=values.__getitem__) for edge, values in weights.items() if values}


def patterns(history: Sequence[Mapping[str, str]], graph: CellGraph = NB201) -> Patterns:
    """Measure P1, P2 and P3 on `history`.

    Args:
        history: per epoch, from epoch 0 on, edge name -> operation of the largest alpha, for every
            edge of `graph`.
        graph: tells the edges and their roles.

    Raises:
        ValueError: an empty history, or an epoch that lacks an edge.
    """
    if not history:
        raise ValueError("no epoch: the patterns need at least one")
    names = graph.edge_names
    for epoch, state in enumerate(history):
        missing = [name for name in names if name not in state]
        if missing:
            raise ValueError(f"epoch {epoch} lacks the edges {', '.join(missing)}")
    selected = np.array([[state[name] != NONE for name in names] for state in history])
    counts = selected.sum(axis=1)
    recovery = dict(zip(names, _recovery(selected), strict=True))
    return Patterns(
        selected_edges=int(counts[-1]),
        growing_index=int(counts[-1] - counts.min()),
        width_preference=_width_preference(recovery, graph),
        recovery_epochs=recovery,
        nothing_selected=bool(counts[-1] == 0),
        counts=tuple(int(count) for count in counts),
        lowest_epoch=int(counts.argmin()),
    )


def _recovery(selected: np.ndarray) -> list[int | None]:
    """Per column of `selected` (epochs, edges): the row from which on all are True, if any."""
    epochs = len(selected)
    tail = np.argmin(selected[::-1], axis=0)  # length of the run of True at the end, 0 if all True
    tail = np.where(selected.all(axis=0), epochs, tail)
    return [epochs - int(length) if length else None for length in tail]


def _width_preference(recovery: Mapping[str, int | None], graph: CellGraph) -> float | None:
    """P2 index, see :class:`Patterns`."""
    groups: dict[str, list[int]] = {"intermediate": [], "input": []}
    for name, epoch in recovery.items():
        role = graph.role(name)
        if role in groups:
            if epoch is None:
                return None
            groups[role].append(epoch)
    if not all(groups.values()):
        return None
    return float(np.mean(groups["intermediate"]) - np.mean(groups["input"]))
