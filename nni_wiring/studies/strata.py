"""Cells of equal live operations, compared within their stratum (S3's confounders)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.studies.statistics import Interval, spearman
from search_spaces.cell_graph import OPERATIONS
from search_spaces.topology import Topology, live_mask

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Array = NDArray[np.float64]


def live_multiset(ops: ArrayLike) -> IntArray:
    """(n, 4) number of live edges with each operation but none, in the operations' order."""
    cells, live = np.asarray(ops), live_mask(ops)
    return np.stack(
        [((cells == place) & live).sum(axis=1) for place in range(1, len(OPERATIONS))], axis=1
    )


def strata(*columns: ArrayLike) -> IntArray:
    """(n,) equal numbers for cells with equal columns; columns: (n,) or (n, k)."""
    table = np.column_stack([np.asarray(column) for column in columns])
    return np.unique(table, axis=0, return_inverse=True)[1].ravel()


class Classes(NamedTuple):
    """Two classes of cells that are compared in the strata which have both.

    Attributes:
        first, second: (n,) members.
        shared: strata that have both.
        stratum: (n,) each cell's stratum.
    """

    first: BoolArray
    second: BoolArray
    shared: IntArray
    stratum: IntArray

    def where(self, known: BoolArray) -> Classes:
        """The same of known cells alone."""
        return classes(self.first & known, self.second & known, self.stratum)


def classes(first: BoolArray, second: BoolArray, stratum: IntArray) -> Classes:
    """The two classes with the strata that they share."""
    return Classes(first, second, np.intersect1d(stratum[first], stratum[second]), stratum)


def contrasts(values: Array, found: Classes) -> Array:
    """(shared strata,) mean of the first class minus mean of the second in every stratum."""
    return _means(values, found, found.first) - _means(values, found, found.second)


def _means(values: Array, found: Classes, members: BoolArray) -> Array:
    strata_of, count = found.stratum[members], int(found.stratum.max()) + 1
    sums = np.bincount(strata_of, values[members], count)[found.shared]
    return sums / np.bincount(strata_of, minlength=count)[found.shared]


def bootstrap(values: Array, repeats: int, level: float = 0.95) -> Interval:
    """Mean over strata with its percentile interval under resampling of whole strata (seed 0)."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(values), size=(repeats, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), len(values))


def spearman_within(x: Array, y: Array, stratum: IntArray) -> float:
    """Mean of Spearman's correlations within the strata, weighted by their cells.

    Strata in which one of the two is constant have none and are left out.
    """
    order = np.argsort(stratum, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1)
    kept = [(spearman(x[g], y[g]), len(g)) for g in groups if np.ptp(x[g]) and np.ptp(y[g])]
    if not kept:
        return float("nan")
    rhos, sizes = zip(*kept, strict=True)
    return float(np.average(rhos, weights=sizes))


def joint_class(figures: Topology, width: float, depth: int) -> BoolArray:
    """Connected cells of this width (in units of c) and depth."""
    return figures.connected & (figures.width == width) & (figures.depth == depth)
