"""Judging a derived cell: collapsed or not, and how it compares with a random cell (the null)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.truth import NASBENCH201, Benchmark
from search_spaces.cell_graph import Wiring, live_mask

#: The verdicts, the first that fits is given.
COLLAPSES = ("none", "skip", "pooling", "no parameters")
COLLAPSE_DEFINITION = (
    "none = nothing reaches the output; skip, pooling = more than half of the live edges are of "
    "that kind; no parameters = more than half of them are no convolutions of any kind"
)
_FIGURES = {
    "width": ("width", "c", "wide"),
    "depth": ("depth", "", "deep"),
    "conv_depth": ("conv depth", "", "deep in convolutions"),
    "live_edges": ("live edges", "", "many"),
    "none_edges": ("none edges", "", "many"),
}


class NullRow(NamedTuple):
    """One topology figure of a cell against a cell drawn uniformly from all of its benchmark.

    Attributes:
        key, title, unit: the figure, its name in words and its unit ("c" or none).
        value: of the cell.
        mean: of a random cell.
        at_least, at_most: share (0..1) of random cells with at least and at most this value.
        adjective: completes "x % of random cells are at least as ...".
    """

    key: str
    title: str
    unit: str
    value: float
    mean: float
    at_least: float
    at_most: float
    adjective: str


def null_rows(wiring: Wiring, benchmark: Benchmark = NASBENCH201) -> tuple[NullRow, ...]:
    """The topology of a benchmark's cell against the null of a random cell."""
    figures, everything = wiring.topology(), benchmark.topology
    rows = []
    for key, (title, unit, adjective) in _FIGURES.items():
        value, column = float(getattr(figures, key)), getattr(everything, key)
        at_least, at_most = float((column >= value).mean()), float((column <= value).mean())
        rows.append(
            NullRow(key, title, unit, value, float(column.mean()), at_least, at_most, adjective)
        )
    return tuple(rows)


def collapse(wiring: Wiring) -> str | None:
    """One of :data:`COLLAPSES`, or None, by :data:`COLLAPSE_DEFINITION`.

    A cell without a convolution on any live path has no live edge with parameters, so it is
    collapsed.
    """
    live = wiring.live()
    operations = [name for edge, name in wiring.chosen.items() if live[edge]]
    if not operations:
        return "none"
    for verdict, kind in _KINDS.items():
        if 2 * sum(map(kind, operations)) > len(operations):
            return verdict
    return None


#: A verdict's operations, in the order in which the verdicts are tried.
_KINDS: dict[str, Callable[[str], bool]] = {
    "skip": lambda name: name == "skip_connect",
    "pooling": lambda name: "pool" in name,
    "no parameters": lambda name: "conv" not in name,
}


@lru_cache(maxsize=8)
def collapse_rates(benchmark: Benchmark = NASBENCH201) -> dict[str, float]:
    """Share (0..1) of a benchmark's random cells that each verdict would be given to."""
    codec = benchmark.codec
    live = live_mask(codec.cells, codec.graph, codec.operations)
    count: NDArray[np.int64] = live.sum(axis=1)
    rates, left = {"none": float((count == 0).mean())}, count > 0
    for verdict, kind in _KINDS.items():
        is_kind = np.array([kind(name) for name in codec.operations])[codec.cells]
        given = left & (2 * (live & is_kind).sum(axis=1) > count)
        rates[verdict], left = float(given.mean()), left & ~given
    return rates
