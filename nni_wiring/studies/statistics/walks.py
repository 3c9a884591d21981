"""The null of a random walk: alphas that move at random and prefer nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph
from search_spaces.patterns import NONE


class WalkNull(NamedTuple):
    """Alphas that move at random.

    Attributes:
        selected_edges: mean of G(T).
        growing_index: mean of the P1 index.
        share_falling: walks that fall to none (see :func:`fallen`).
        share_returning: of these, the walks that end with more edges than at their lowest.
        share_growing: walks that do both.
        inner_largest: walks in which the edge with the largest none margin at the end is an
            intermediate one; NaN where the cell has no such edge to compare.
        margin: mean and standard deviation of the P2 margin over walks, for steps of size 1.
    """

    selected_edges: float
    growing_index: float
    share_falling: float
    share_returning: float
    share_growing: float
    inner_largest: float
    margin: tuple[float, float]


def random_walk_null(
    epochs: int,
    walks: int = 2000,
    seed: int = 0,
    graph: CellGraph = NB201,
    allowed: Mapping[str, Sequence[str]] | None = None,
) -> WalkNull:
    """The null of P1 and P2: independent Gaussian steps of every alpha, ``epochs`` long.

    States of consecutive epochs are as alike as a walk's, unlike those of cells drawn anew. graph,
    allowed: the cell and the operations of every edge; all of NAS-Bench-201 unless given. Edges
    with one operation do not count as selected.
    """
    names = {edge: tuple((allowed or {}).get(edge, OPERATIONS)) for edge in graph.edge_names}
    open_edges = [edge for edge, row in names.items() if len(row) > 1]
    generator = np.random.default_rng(seed)
    selected = np.zeros((walks, epochs), dtype=int)
    margins: dict[str, np.ndarray] = {}
    for edge in open_edges:
        steps = generator.standard_normal((walks, epochs, len(names[edge])))
        alpha = steps.cumsum(axis=1)
        none = names[edge].index(NONE) if NONE in names[edge] else -1
        selected += alpha.argmax(axis=-1) != none
        if none >= 0:
            others = np.delete(alpha[:, -1], none, axis=-1)
            margins[edge] = alpha[:, -1, none] - others.max(axis=-1)
    lowest, last = selected.min(axis=1), selected[:, -1]
    fell = lowest <= fallen(len(open_edges))
    grew = fell & (last > lowest)
    largest, margin = _inner_margin(margins, graph)
    return WalkNull(
        float(last.mean()),
        float((last - lowest).mean()),
        _share(fell),
        float(grew.sum() / fell.sum()) if fell.any() else float("nan"),
        _share(grew),
        largest,
        margin,
    )


def _share(walks: np.ndarray) -> float:
    """One walk more than was seen among one more: a null of 0 would make any run significant."""
    return float((walks.sum() + 1) / (len(walks) + 1))


def _inner_margin(
    margins: Mapping[str, np.ndarray], graph: CellGraph
) -> tuple[float, tuple[float, float]]:
    inner = [margins[edge] for edge in margins if graph.role(edge) == "intermediate"]
    inputs = [margins[edge] for edge in margins if graph.role(edge) == "input"]
    if not inner or not inputs:
        return float("nan"), (float("nan"), float("nan"))
    difference = np.mean(inner, axis=0) - np.mean(inputs, axis=0)
    largest = np.max(inner, axis=0) > np.max(inputs, axis=0)
    return float(largest.mean()), (float(difference.mean()), float(difference.std()))


def fallen(searched: int) -> int:
    """The number of selected edges at which all count as dropped: 0, of six searched edges 1."""
    return searched // 6
