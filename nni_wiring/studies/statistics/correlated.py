"""Two correlations with one thing in common, and the rule that only one of them is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nni_wiring.studies.statistics.intervals import Interval, interval, spearman
from nni_wiring.studies.statistics.rules import Rule
from nni_wiring.studies.statistics.verdict import ALPHA, Holds, Verdict, shown_p


def steiger(first: float, second: float, between: float, n: int) -> float:
    """Steiger's Z (Psychological Bulletin 1980, eq. 14) of r(x, a) - r(x, b); N(0, 1) where both
    are equal.

    Args:
        first, second: r(x, a) and r(x, b).
        between: r(a, b).
        n: units; at least 4.
    """
    if not (abs(first) < 1 and abs(second) < 1) or n < 4:
        return math.nan
    pooled = ((first + second) / 2) ** 2
    shared = between * (1 - 2 * pooled) - pooled * (1 - 2 * pooled - between**2) / 2
    shared /= (1 - pooled) ** 2
    if not shared < 1:  # a and b are one
        return math.nan
    return (math.atanh(first) - math.atanh(second)) * math.sqrt((n - 3) / (2 - 2 * shared))


def jackknifed(a: ArrayLike, b: ArrayLike) -> Interval:
    """Spearman's correlation with a 95 % interval by the jackknife over units."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    n, rho = len(x), spearman(x, y)
    without = [spearman(np.delete(x, unit), np.delete(y, unit)) for unit in range(n)]
    found = interval(n * rho - (n - 1) * np.array(without))
    half = found.high - found.mean
    return Interval(rho, rho - half, rho + half, n)


def shuffled_p(a: ArrayLike, b: ArrayLike, *, orders: int = 20_000, seed: int = 0) -> float:
    """One-sided p of a positive Spearman correlation, under random orders of ``a`` over the units,
    the observed one counted among them.
    """
    x, y = (stats.rankdata(np.asarray(values, dtype=float)) for values in (a, b))
    y = y - y.mean()
    if not np.ptp(x) > 0 or not np.ptp(y) > 0:
        return math.nan
    drawn = np.random.default_rng(seed).permuted(np.tile(x, (orders, 1)), axis=1) @ y
    observed = float(x @ y)
    return (int((drawn >= observed - 1e-9 * abs(observed)).sum()) + 1) / (orders + 1)


@dataclass(frozen=True)
class FollowsRule(Rule):
    """One value of x, a and b a unit: a is claimed to follow x, and b not to.

    `holds` where Spearman(x, a) is above 0 with p < .05 over orders of x and at least ``minimum``,
    the jackknife interval of Spearman(x, b) includes 0, and the former is larger (Steiger's Z,
    one-sided p < .05); `holds in part` where only Spearman(x, a) is above 0.

    Attributes:
        least: fewest units.
    """

    least: int = 10

    def judge(self, x: ArrayLike, a: ArrayLike, b: ArrayLike, note: str = "") -> Verdict:
        """The verdict on units whose x, a and b are known."""
        values = np.array([x, a, b], dtype=float)
        x, a, b = values[:, ~np.isnan(values).any(axis=0)]
        follows, not_so = jackknifed(x, a), jackknifed(x, b)
        p = shuffled_p(x, a)
        larger = steiger(follows.mean, not_so.mean, spearman(a, b), follows.values)
        apart = float(stats.norm.sf(larger))
        held: Holds = "cannot be said"
        if follows.values >= self.least:
            if follows.mean > 0 and p < ALPHA:
                alone = not_so.low <= 0 <= not_so.high and apart < ALPHA
                held = "holds" if alone and follows.mean >= self.minimum else "holds in part"
            elif follows.high < self.minimum:
                held = "does not hold"
        parts = [
            f"{follows.mean:.2f} {self.unit} [{follows.low:.2f}, {follows.high:.2f}]",
            f"n = {follows.values}, {self.least} are needed",
            shown_p(p, p),
            f"the other: {not_so.mean:.2f} [{not_so.low:.2f}, {not_so.high:.2f}]",
            f"Steiger's Z of the difference {larger:.2f}, {shown_p(apart, apart)}",
            f"null: {self.null}",
            f"least size {self.minimum:g}",
        ]
        return Verdict(
            self.claim,
            held,
            "; ".join([*parts, note] if note else parts),
            p,
            p,
            follows.values,
            self.null,
            follows.mean,
            follows.low,
            follows.high,
            self.minimum,
        )
