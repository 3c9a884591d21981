"""Rules: how a measurement becomes one of the four outcomes, stated before anything is run.

Every rule names its claim, its null, the least size of effect that counts and the spread over seeds
that was presumed when it was written (from which follows how many seeds it needs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nni_wiring.studies.statistics.exact import (
    Sides,
    holm,
    logistic_slope,
    paired_flip,
    permutation_slope,
)
from nni_wiring.studies.statistics.intervals import Interval, equivalence, interval, known
from nni_wiring.studies.statistics.verdict import ALPHA, EXACT, Holds, Verdict, outcome, shown_p


def flips_needed(sides: Sides = "greater", family: int = 1) -> int:
    """The fewest seeds with which a flip test can reach p < .05 among ``family`` tests."""
    least = family * (2 if sides == "two-sided" else 1)
    return math.floor(math.log2(least / ALPHA)) + 1


def runs_needed(null: float, family: int = 1) -> int:
    """The fewest runs with which a binomial test against ``null`` can reach p < .05."""
    n = 1
    while family * null**n >= ALPHA:
        n += 1
    return n


@dataclass(frozen=True)
class Rule:
    """The statement that all rules make.

    Attributes:
        claim: one sentence.
        null: what would be seen if the claim were not true, in words.
        minimum: the least size of effect, in ``unit``.
        unit: of the effect.
        spread: standard deviation over seeds that was presumed when the rule was written.
        family: how many verdicts are judged together at the study's default options.
    """

    claim: str
    null: str
    minimum: float
    unit: str
    spread: float = math.nan
    family: int = 1


@dataclass(frozen=True)
class FlipRule(Rule):
    """One value a seed, tested by exact sign flips.

    Attributes:
        sides: "greater" for a claim with a direction.
        least: fewest seeds, where the rule asks for more than the test.
    """

    sides: Sides = "greater"
    least: int = 1

    def needed(self, family: int = 1) -> int:
        """The fewest seeds that can give a verdict."""
        return max(self.least, flips_needed(self.sides, family))

    def judge(self, values: ArrayLike, note: str = "") -> Verdict:
        """The verdict on one value per seed (NaN: this seed says nothing)."""
        return self.judge_all({"": values}, note)[0]

    def judge_all(self, values: Mapping[str, ArrayLike], note: str = "") -> list[Verdict]:
        """One verdict a label, adjusted together by Holm."""
        p = [paired_flip(row, self.sides) for row in values.values()]
        adjusted = holm(p)
        return [
            self._verdict(label, known(row), p[place], float(adjusted[place]), len(values), note)
            for place, (label, row) in enumerate(values.items())
        ]

    def _verdict(
        self, label: str, x: np.ndarray, p: float, adjusted: float, family: int, note: str
    ) -> Verdict:
        found = interval(x)
        needed = self.needed(family)
        mean, high = found.mean, found.high
        if self.sides == "two-sided":
            mean, high = abs(mean), max(abs(found.low), abs(found.high))
        held = outcome(mean, adjusted, high, self.minimum, able=len(x) >= needed)
        evidence = _evidence(self, found, p, adjusted, needed, "seeds", note)
        return _filled(self, label, held, evidence, found, p, adjusted)


@dataclass(frozen=True)
class ShareRule(Rule):
    """A share of runs, tested against the null's own share by an exact binomial test.

    minimum: by how much the share must exceed the null's.

    Attributes:
        least: fewest runs, where the rule asks for more than the test.
    """

    least: int = 1

    def judge(self, k: int, n: int, null: float, note: str = "") -> Verdict:
        """The verdict on k of n independent runs."""
        return self.judge_all({"": (k, n)}, null, note)[0]

    def judge_all(
        self,
        counts: Mapping[str, tuple[int, int]],
        null: float | Mapping[str, float],
        note: str = "",
    ) -> list[Verdict]:
        """One verdict a label from {label: (k, n)}, adjusted together by Holm.

        null: its share, one for all labels or one a label.
        """
        shares = null if isinstance(null, Mapping) else dict.fromkeys(counts, null)
        p = [_binomial(k, n, shares[label])[0] for label, (k, n) in counts.items()]
        adjusted = holm(p)
        return [
            self._verdict(label, k, n, shares[label], float(adjusted[place]), len(counts), note)
            for place, (label, (k, n)) in enumerate(counts.items())
        ]

    def _verdict(
        self, label: str, k: int, n: int, null: float, adjusted: float, family: int, note: str
    ) -> Verdict:
        p, low, high = _binomial(k, n, null)
        needed = runs_needed(null, family) if 0 < null < 1 else 1 if null == 0 else n + 1
        needed = max(needed, self.least)
        share = k / n if n else math.nan
        held = outcome(share - null, adjusted, high - null, self.minimum, able=n >= needed)
        found = Interval(share, low, high, n)
        note = f"{k} of {n}, null {null:.2g}" + (f"; {note}" if note else "")
        evidence = _evidence(self, found, p, adjusted, needed, "runs", note)
        return _filled(self, label, held, evidence, found, p, adjusted)


@lru_cache(maxsize=4096)
def _binomial(k: int, n: int, null: float) -> tuple[float, float, float]:
    """(one-sided p, low, high): exact, with the 95 % Clopper-Pearson interval."""
    if n == 0:
        return math.nan, math.nan, math.nan
    test = stats.binomtest(k, n, null, alternative="greater")
    ends = stats.binomtest(k, n, null).proportion_ci(0.95, "exact")
    return float(test.pvalue), float(ends.low), float(ends.high)


def binomial_verdict(k: int, n: int, null: float, minimum: float = 0.0) -> Holds:
    """The outcome of k of n runs against the null's share, by the exact one-sided binomial test.

    minimum: by how much the share must exceed the null's.
    """
    return ShareRule("", "", minimum, "share").judge(k, n, null).verdict


@dataclass(frozen=True)
class EquivalenceRule(Rule):
    """One value a seed, whose mean is claimed to lie inside +-minimum (two one-sided t-tests).

    `holds` where the 90 % interval lies inside the margin; `does not hold` where the 95 % interval
    lies wholly outside; no `holds in part`.

    Attributes:
        least: fewest seeds.
    """

    least: int = 5

    def judge(self, values: ArrayLike, note: str = "") -> Verdict:
        """The verdict on one value per seed."""
        return self.judge_all({"": values}, note)[0]

    def judge_all(self, values: Mapping[str, ArrayLike], note: str = "") -> list[Verdict]:
        """One verdict a label, adjusted together by Holm."""
        tests = [equivalence(row, self.minimum) for row in values.values()]
        adjusted = holm([test.p for test in tests])
        verdicts = []
        for (label, row), test, p in zip(values.items(), tests, adjusted, strict=True):
            found = interval(row)
            held: Holds = "cannot be said"
            if test.values >= self.least:
                outside = found.low > self.minimum or found.high < -self.minimum
                held = "holds" if p < ALPHA else "does not hold" if outside else held
            evidence = _evidence(self, found, test.p, float(p), self.least, "seeds", note)
            verdicts.append(_filled(self, label, held, evidence, found, test.p, float(p)))
        return verdicts


@dataclass(frozen=True)
class SlopeRule(Rule):
    """A number of edges a run, claimed to grow with a number of the run: logistic regression, its
    slope tested by permutations over runs. minimum: log odds ratio per standard deviation.

    Attributes:
        least: fewest runs.
    """

    least: int = 8

    def judge_all(
        self,
        runs: Mapping[str, tuple[Sequence[int], Sequence[float]]],
        trials: int,
        note: str = "",
    ) -> list[Verdict]:
        """One verdict a label from {label: (edges of ``trials``, x)}, one entry per run; adjusted
        together by Holm.
        """
        p = [permutation_slope(edges, x) for edges, x in runs.values()]
        verdicts = []
        for (label, (edges, x)), raw, adjusted in zip(runs.items(), p, holm(p), strict=True):
            slope, error = logistic_slope(edges, trials, x)
            half = float(stats.t.ppf(0.975, max(len(edges) - 1, 1))) * error
            found = Interval(slope, slope - half, slope + half, len(edges))
            able = len(edges) >= self.least
            held = outcome(slope, float(adjusted), found.high, self.minimum, able=able)
            evidence = _evidence(self, found, raw, float(adjusted), self.least, "runs", note)
            verdicts.append(_filled(self, label, held, evidence, found, raw, float(adjusted)))
        return verdicts


@dataclass(frozen=True)
class IdentityRule:
    """An exact statement: the largest deviation found is rounding, or the statement is wrong."""

    claim: str
    tolerance: float

    def judge(self, worst: float, n: int, note: str = "") -> Verdict:
        """worst: the largest deviation over n measurements."""
        held: Holds = "holds" if worst < self.tolerance else "does not hold"
        if not n or math.isnan(worst):
            held = "cannot be said"
        evidence = (
            f"largest deviation {worst:.1e} over {n} measurements, allowed {self.tolerance:g}"
        )
        evidence += f"; {note}" if note else ""
        return Verdict(
            self.claim, held, evidence, n=n, effect=worst, minimum=self.tolerance, null=EXACT
        )


def _evidence(
    rule: Rule, found: Interval, p: float, adjusted: float, needed: int, what: str, note: str
) -> str:
    size = f"{found.mean:.3g} {rule.unit}"
    if not math.isnan(found.low):
        size += f" [{found.low:.3g}, {found.high:.3g}]"
    parts = [size, f"n = {found.values} {what}", shown_p(p, adjusted), f"null: {rule.null}"]
    parts.append(f"least size {rule.minimum:g}")
    if found.values < needed:
        parts.append(f"{needed} {what} are needed")
    return "; ".join([*parts, note] if note else parts)


def _filled(
    rule: Rule, label: str, held: Holds, evidence: str, found: Interval, p: float, adjusted: float
) -> Verdict:
    claim = f"{rule.claim} ({label})" if label else rule.claim
    return Verdict(
        claim,
        held,
        evidence,
        p,
        adjusted,
        found.values,
        rule.null,
        found.mean,
        found.low,
        found.high,
        rule.minimum,
    )
