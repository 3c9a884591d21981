"""Exact and permutation tests: sign flips, relabellings, names of operations, and Holm."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nni_wiring.studies.statistics.intervals import known, spearman

Sides = Literal["greater", "two-sided"]

#: Up to so many differences all 2^n flips are taken.
EXACT_FLIPS = 16
RANDOM_FLIPS = 20_000
#: Sums that differ by less than this share of their size are the same sum.
_ROUNDING = 1e-12


@lru_cache(maxsize=8)
def _flips(n: int, seed: int) -> np.ndarray:
    """Signs, (flips, n): all of them up to EXACT_FLIPS, the identity first; else random ones."""
    if n <= EXACT_FLIPS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    return np.random.default_rng(seed).choice((1.0, -1.0), size=(RANDOM_FLIPS, n))


def paired_flip(differences: ArrayLike, sides: Sides = "two-sided", *, seed: int = 0) -> float:
    """p of the mean difference under sign flips: the null that each is symmetric about 0.

    Exact over all 2^n flips up to n = 16; beyond, 20,000 random flips from ``seed``, the observed
    one counted among them. NaN for no difference at all. NaN differences are left out.

    Args:
        differences: one a seed (or another independent pair).
        sides: "greater" tests for a mean above 0.
        seed: of the random flips.
    """
    x = known(differences)
    if not len(x):
        return float("nan")
    sums = _flips(len(x), seed) @ x
    observed = float(x.sum())
    slack = _ROUNDING * float(np.abs(x).sum())
    if sides == "two-sided":
        sums, observed = np.abs(sums), abs(observed)
    extreme = int((sums >= observed - slack).sum())
    if len(x) <= EXACT_FLIPS:
        return extreme / len(sums)
    return (extreme + 1) / (len(sums) + 1)


def holm(p: ArrayLike) -> np.ndarray:
    """Adjusted p-values of a family of tests (Holm 1979); NaN stays and does not count."""
    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.shape, np.nan)
    places = np.flatnonzero(~np.isnan(values))
    order = places[np.argsort(values[places], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


class MantelTest(NamedTuple):
    """Spearman over pairs of objects, and p under relabellings of the objects of one matrix."""

    rho: float
    p: float
    objects: int


def mantel(
    a: ArrayLike, b: ArrayLike, sides: Sides = "greater", *, relabellings: int = 2000, seed: int = 0
) -> MantelTest:
    """Mantel's permutation test between two distance matrices, both (n, n) and symmetric.

    Pairs that share an object are not independent, so rows and columns of ``b`` are permuted
    together. All n! relabellings where they are no more than ``relabellings``, else that many
    random ones from ``seed``, the observed one counted among them.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n = len(first)
    upper = np.triu_indices(n, 1)
    rho = spearman(first[upper], second[upper])
    if np.isnan(rho):
        return MantelTest(rho, float("nan"), n)
    left = _standard_ranks(first[upper])
    ranks = np.zeros((n, n))
    ranks[upper] = _standard_ranks(second[upper])
    ranks += ranks.T
    exact = n <= 12 and math.factorial(n) <= relabellings
    orders = (
        np.array(list(itertools.permutations(range(n))))
        if exact
        else np.random.default_rng(seed).permuted(np.tile(np.arange(n), (relabellings, 1)), axis=1)
    )
    found = np.array([left @ ranks[order[upper[0]], order[upper[1]]] for order in orders])
    observed = float(left @ ranks[upper])
    if sides == "two-sided":
        found, observed = np.abs(found), abs(observed)
    extreme = int((found >= observed - 1e-9).sum())
    p = extreme / len(found) if exact else (extreme + 1) / (len(found) + 1)
    return MantelTest(rho, p, n)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, mean 0 and length 1: inner products are Spearman correlations."""
    ranks = stats.rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    return ranks / np.linalg.norm(ranks, axis=-1, keepdims=True)


def names_permutation(scores: ArrayLike, truths: ArrayLike) -> float:
    """p of the mean rank correlation under permutations of the operations' names, one for all rows.

    The true order of the operations is nearly the same on every edge, so that edges are no
    replications of it: any score with an order of its own agrees with the truth on all of them or
    on none. k operations have k! names, so p is at least 1/k! (four operations: 1/24).

    Args:
        scores: (rows, operations), a row per edge and seed.
        truths: of the same shape.
    """
    return renamed_p(rank_products(scores, truths))


def rank_products(scores: ArrayLike, truths: ArrayLike) -> np.ndarray:
    """(operations, operations): products of standardised ranks, summed over the rows that have an
    order. A renaming's sum of rank correlations picks one entry of every row of it.
    """
    score, truth = np.asarray(scores, dtype=float), np.asarray(truths, dtype=float)
    usable = (np.ptp(score, axis=1) > 0) & (np.ptp(truth, axis=1) > 0)  # NaN is not
    return _standard_ranks(score[usable]).T @ _standard_ranks(truth[usable])


@lru_cache(maxsize=8)
def _renamings(operations: int) -> np.ndarray:
    return np.array(list(itertools.permutations(range(operations))))


def renamed_p(products: np.ndarray) -> float:
    """p of the operations' own names among all renamings; NaN where no row had an order."""
    if not products.any():
        return float("nan")
    sums = products[np.arange(len(products)), _renamings(len(products))].sum(axis=1)
    slack = _ROUNDING * float(np.abs(products).sum()) * 100
    return float((sums >= sums[0] - slack).mean())  # the identity comes first


class LogisticSlope(NamedTuple):
    """Log odds ratio per standard deviation, and its standard error by the jackknife over units."""

    slope: float
    error: float


def logistic_slope(successes: ArrayLike, trials: int, x: ArrayLike) -> LogisticSlope:
    """The slope of logit P(success) on ``x``, standardised.

    A tenth of a success and of a failure is added to every unit, so that perfect separation has a
    finite slope (a half, as is common, halves the slope of three trials a unit). NaN where x is
    constant.

    Args:
        successes: per unit, of ``trials``.
        trials: per unit.
        x: per unit.
    """
    y, values = np.asarray(successes, dtype=float) + 0.1, np.asarray(x, dtype=float)
    n = len(values)
    if n < 3 or not np.ptp(values) > 0:
        return LogisticSlope(float("nan"), float("nan"))
    z = (values - values.mean()) / values.std(ddof=1)
    weights = np.vstack([np.ones(n), 1 - np.eye(n)])  # all units, then all but one
    slopes = _newton(y, trials + 0.2, z, weights)
    left = slopes[1:]
    error = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
    return LogisticSlope(float(slopes[0]), float(error))


def _newton(y: np.ndarray, total: float, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Slopes of logistic regressions of y of ``total`` on z, one a row of ``weights``."""
    intercept, slope = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(50):  # Newton's steps on a concave likelihood
        mean = 1 / (1 + np.exp(-(intercept[:, None] + slope[:, None] * z)))
        residual, curve = weights * (y - total * mean), weights * total * mean * (1 - mean)
        g0, g1 = residual.sum(axis=1), residual @ z
        h00, h01, h11 = curve.sum(axis=1), curve @ z, curve @ (z * z)
        scale = h00 * h11 - h01**2
        steps = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / scale
        steps = np.clip(steps, -2.0, 2.0)
        intercept, slope = intercept + steps[0], slope + steps[1]
        if np.abs(steps).max() < 1e-10:
            break
    return slope


@lru_cache(maxsize=8)
def _orders(n: int, permutations: int, seed: int) -> np.ndarray:
    """Orders of n units: all of them up to seven, the identity first; else random ones."""
    if n <= 7:
        return np.array(list(itertools.permutations(range(n))))
    tiled = np.tile(np.arange(n), (permutations, 1))
    return np.random.default_rng(seed).permuted(tiled, axis=1)


def permutation_slope(
    successes: ArrayLike, x: ArrayLike, *, permutations: int = 20_000, seed: int = 0
) -> float:
    """One-sided p of a positive logistic slope, under permutations of ``x`` over the units.

    The score sum x (y - mean y) orders permutations as the slope does. All of them up to seven
    units, else random ones from ``seed``, the observed one counted among them.
    """
    y, values = np.asarray(successes, dtype=float), np.asarray(x, dtype=float)
    n = len(y)
    if n < 2 or not np.ptp(values) > 0 or np.ptp(y) == 0:
        return float("nan")
    centred = y - y.mean()
    scores = values[_orders(n, permutations, seed)] @ centred
    observed = float(values @ centred)
    extreme = int((scores >= observed - _ROUNDING * (1 + abs(observed))).sum())
    return extreme / len(scores) if n <= 7 else (extreme + 1) / (len(scores) + 1)
