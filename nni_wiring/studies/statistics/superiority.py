"""The rule of a claim that something is *not* better: what refutes it, and what leaves it open."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike

from nni_wiring.studies.statistics.exact import paired_flip
from nni_wiring.studies.statistics.intervals import interval
from nni_wiring.studies.statistics.rules import Rule, flips_needed
from nni_wiring.studies.statistics.verdict import ALPHA, Holds, Verdict, shown_p


@dataclass(frozen=True)
class NotBetterRule(Rule):
    """One difference a seed, claimed not to be significantly above 0 (exact two-sided flips).

    `does not hold` where p < .05 and the mean is above 0, however small; `cannot be said` with too
    few seeds for any p < .05, or where the 95 % interval reaches further than ``minimum`` from the
    mean: a test that sees nothing shows nothing. Else `holds`; no `holds in part`. That the two are
    equal is another claim, for an ``EquivalenceRule``.

    minimum: the largest half width of the 95 % interval that still gives `holds`.
    """

    def needed(self) -> int:
        """The fewest seeds that can give a verdict."""
        return flips_needed("two-sided")

    def judge(self, values: ArrayLike, note: str = "") -> Verdict:
        """The verdict on one value per seed (NaN: this seed says nothing)."""
        found, p = interval(values), paired_flip(values, "two-sided")
        half = found.high - found.mean
        held: Holds = "holds"
        if found.values < self.needed():
            held = "cannot be said"
        elif p < ALPHA and found.mean > 0:
            held = "does not hold"
        elif not half <= self.minimum:
            held = "cannot be said"
        size = f"{found.mean:.3g} {self.unit}"
        if not math.isnan(found.low):
            size += f" [{found.low:.3g}, {found.high:.3g}]"
        parts = [size, f"n = {found.values} seeds", shown_p(p, p), f"null: {self.null}"]
        parts.append(f"interval of at most +-{self.minimum:g}")
        if found.values < self.needed():
            parts.append(f"{self.needed()} seeds are needed")
        return Verdict(
            self.claim,
            held,
            "; ".join([*parts, note] if note else parts),
            p,
            p,
            found.values,
            self.null,
            found.mean,
            found.low,
            found.high,
            self.minimum,
        )
