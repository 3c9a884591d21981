"""Means with confidence intervals, rank correlations and the null of a random walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nni_wiring.monitor.patterns import NONE
from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph


class Interval(NamedTuple):
    """A mean with its 95 % t-interval; low and high are NaN for fewer than two values."""

    mean: float
    low: float
    high: float
    values: int


def interval(values: ArrayLike) -> Interval:
    """Mean and 95 % interval over the values that are not NaN; all NaN for none."""
    x = np.asarray(values, dtype=float).ravel()
    x = x[~np.isnan(x)]
    if not len(x):
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, np.nan, np.nan, len(x))
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation over the places where both are known; NaN if one is constant."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)


class WalkNull(NamedTuple):
    """Alphas that move at random: means of G(T) and of the P1 index, and the share of walks that
    fall to none (see :func:`fallen`) and grow back.
    """

    selected_edges: float
    growing_index: float
    share_growing: float


def random_walk_null(
    epochs: int,
    walks: int = 500,
    seed: int = 0,
    graph: CellGraph = NB201,
    allowed: Mapping[str, Sequence[str]] | None = None,
) -> WalkNull:
    """The null of P1: independent Gaussian steps of every alpha, ``epochs`` long.

    States of consecutive epochs are as alike as a walk's, unlike those of cells drawn anew. graph,
    allowed: the cell and the operations of every edge; all of NAS-Bench-201 unless given. Edges
    with one operation do not count as selected.
    """
    names = {edge: tuple((allowed or {}).get(edge, OPERATIONS)) for edge in graph.edge_names}
    open_edges = [edge for edge, row in names.items() if len(row) > 1]
    generator = np.random.default_rng(seed)
    selected = np.zeros((walks, epochs), dtype=int)
    for edge in open_edges:
        steps = generator.standard_normal((walks, epochs, len(names[edge])))
        best = steps.cumsum(axis=1).argmax(axis=-1)
        none = names[edge].index(NONE) if NONE in names[edge] else -1
        selected += best != none
    lowest, last = selected.min(axis=1), selected[:, -1]
    shows = (lowest <= fallen(len(open_edges))) & (last > lowest)
    return WalkNull(float(last.mean()), float((last - lowest).mean()), float(shows.mean()))


def fallen(searched: int) -> int:
    """The number of selected edges at which all count as dropped: 0, of six searched edges 1."""
    return searched // 6
