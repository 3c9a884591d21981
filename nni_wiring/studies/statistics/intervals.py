"""Means over seeds with intervals, equivalence inside a margin, and rank correlations."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class Interval(NamedTuple):
    """A mean with its 95 % t-interval; low and high are NaN for fewer than two values."""

    mean: float
    low: float
    high: float
    values: int


@lru_cache(maxsize=256)
def _quantile(level: float, freedom: int) -> float:
    return float(stats.t.ppf(level, freedom))


def known(values: ArrayLike) -> np.ndarray:
    """The values that are not NaN, in one row."""
    x = np.asarray(values, dtype=float).ravel()
    return x[~np.isnan(x)]


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean and t-interval over the values that are not NaN; all NaN for none.

    Args:
        values: one per seed, the unit of replication. Values of edges, epochs or batches of one
            seed are not independent: average them first.
        level: of confidence, two-sided.
    """
    x = known(values)
    if not len(x):
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, np.nan, np.nan, len(x))
    quantile = _quantile((1 + level) / 2, len(x) - 1)
    half = float(quantile * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))


def cluster_interval(values: ArrayLike, cluster: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over all values, its t-interval over clusters of values that depend on each other."""
    _, place = np.unique(np.asarray(cluster), return_inverse=True)
    place = place.ravel()
    sums = np.bincount(place, weights=np.asarray(values, dtype=float))
    return cluster_sums_interval(sums, np.bincount(place), level)


def cluster_sums_interval(sums: ArrayLike, counts: ArrayLike, level: float = 0.95) -> Interval:
    """The same of each cluster's sum and number of values; clusters without any do not count.

    The error is that of a ratio estimator: deviations from the mean are summed in each cluster.
    ``values`` of the result counts the clusters; low and high are NaN for fewer than two.
    """
    held = np.asarray(counts) > 0
    total, sizes = np.asarray(sums, dtype=float)[held], np.asarray(counts)[held]
    n, values = len(sizes), int(sizes.sum())
    if not values:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(total.sum()) / values
    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    error = float(np.sqrt(n / (n - 1) * ((total - mean * sizes) ** 2).sum())) / values
    half = _quantile((1 + level) / 2, n - 1) * error
    return Interval(mean, mean - half, mean + half, n)


class Equivalence(NamedTuple):
    """Two one-sided t-tests against a margin.

    Attributes:
        p: the larger of the two p-values; the mean is shown to lie inside the margin where p < .05.
        mean: over the seeds.
        low: lower end of the 90 % interval, which lies inside the margin exactly where p < .05.
        high: its upper end.
        values: number of seeds.
    """

    p: float
    mean: float
    low: float
    high: float
    values: int


def equivalence(values: ArrayLike, margin: float) -> Equivalence:
    """Test that the mean over seeds lies inside +-``margin`` (TOST, Schuirmann 1987).

    Values without any spread are inside or outside with certainty: p is 0 or 1.
    """
    x = known(values)
    found = interval(x, level=0.9)
    if len(x) < 2:
        return Equivalence(np.nan, *found)
    error = float(x.std(ddof=1) / np.sqrt(len(x)))
    if error == 0.0:
        return Equivalence(0.0 if abs(found.mean) < margin else 1.0, *found)
    above = stats.t.sf((found.mean + margin) / error, len(x) - 1)
    below = stats.t.cdf((found.mean - margin) / error, len(x) - 1)
    return Equivalence(float(max(above, below)), *found)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation over the places where both are known; NaN if one is constant."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)


def partial_spearman(a: ArrayLike, b: ArrayLike, given: ArrayLike) -> float:
    """Spearman's rank correlation of ``a`` and ``b`` with that of ``given`` taken out.

    NaN where one of the three is constant, or is a function of ``given`` in its ranks.
    """
    ab, ag, bg = spearman(a, b), spearman(a, given), spearman(b, given)
    left = (1 - ag**2) * (1 - bg**2)
    if np.isnan(ab + ag + bg) or left < 1e-12:
        return float("nan")
    return float((ab - ag * bg) / np.sqrt(left))
