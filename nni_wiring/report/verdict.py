"""Judging a derived cell: collapsed or not, and how it compares with a random cell (the null)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.truth import NASBENCH201, Benchmark
from search_spaces.cell_graph import Wiring, live_mask

COLLAPSE_DEFINITION = (
    "none = nothing reaches the output; skip = more than half of the live edges are skip_connect"
)
_SKIP = "skip_connect"
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
    """`none`, `skip` or None (no collapse), by :data:`COLLAPSE_DEFINITION`."""
    live = wiring.live()
    operations = [name for edge, name in wiring.chosen.items() if live[edge]]
    if not operations:
        return "none"
    return "skip" if 2 * operations.count(_SKIP) > len(operations) else None


@lru_cache(maxsize=8)
def collapse_rates(benchmark: Benchmark = NASBENCH201) -> dict[str, float]:
    """Share (0..1) of a benchmark's random cells that each verdict would be given to.

    `no convolution` is no verdict but a remark: connected, without a convolution on a live path.
    """
    codec = benchmark.codec
    live = live_mask(codec.cells, codec.graph, codec.operations)
    is_skip = np.array([name == _SKIP for name in codec.operations])[codec.cells]
    count: NDArray[np.int64] = live.sum(axis=1)
    skips: NDArray[np.int64] = (live & is_skip).sum(axis=1)
    return {
        "none": float((count == 0).mean()),
        "skip": float((2 * skips > count).mean()),
        "no convolution": float(((count > 0) & (benchmark.topology.conv_depth == 0)).mean()),
    }
