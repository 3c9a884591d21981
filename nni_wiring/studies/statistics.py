"""Means with confidence intervals, rank correlations and the null of a random walk."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nni_wiring.monitor.patterns import patterns
from search_spaces.cell_graph import NB201, OPERATIONS


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
    """Patterns of alphas that move at random: means over walks, and the share with P1 above 0."""

    selected_edges: float
    growing_index: float
    share_growing: float


def random_walk_null(epochs: int, walks: int = 500, seed: int = 0) -> WalkNull:
    """The null of P1: independent Gaussian steps of every alpha of NAS-Bench-201, ``epochs`` long.

    States of consecutive epochs are as alike as a walk's, unlike those of cells drawn anew.
    """
    generator = np.random.default_rng(seed)
    shape = (walks, epochs, len(NB201.edges), len(OPERATIONS))
    states = generator.standard_normal(shape).cumsum(axis=1).argmax(axis=-1)
    found = [
        patterns(
            [dict(zip(NB201.edge_names, (OPERATIONS[k] for k in row), strict=True)) for row in walk]
        )
        for walk in states
    ]
    growing = np.array([p.growing_index for p in found])
    selected = np.array([p.selected_edges for p in found])
    return WalkNull(float(selected.mean()), float(growing.mean()), float((growing > 0).mean()))
