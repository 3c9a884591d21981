"""A verdict: one of four outcomes, with the numbers that a reader needs to check it."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Holds = Literal["holds", "holds in part", "does not hold", "cannot be said"]

#: A result that chance alone gives less often than this counts against the null.
ALPHA = 0.05
#: The null of an identity, which is not tested but true or wrong.
EXACT = "exact"


class Verdict(NamedTuple):
    """A claim, whether it shows here, and the numbers that say so.

    Attributes:
        claim: one sentence.
        verdict: the outcome by the rule that was written before the run.
        evidence: estimate, interval, n, p, null and least size in words.
        p: against the null; None where nothing is tested (an identity).
        adjusted: p after Holm's correction over the verdicts that were judged together.
        n: units of replication (seeds, unless the evidence says otherwise).
        null: in words; EXACT for an identity.
        effect: the estimate, in the claim's unit; low and high: its 95 % interval over the units.
        minimum: the size that the rule asks for.
    """

    claim: str
    verdict: Holds
    evidence: str
    p: float | None = None
    adjusted: float | None = None
    n: int | None = None
    null: str = ""
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    minimum: float | None = None


def outcome(effect: float, p: float, high: float, minimum: float, *, able: bool) -> Holds:
    """Rule 0.1 of the studies.

    Args:
        effect: the estimate in the claimed direction.
        p: against the null, adjusted where several are judged together.
        high: upper end of the estimate's interval.
        minimum: least size of the effect.
        able: whether so many units can reach p < .05 at all.
    """
    if not able or math.isnan(effect) or math.isnan(p):
        return "cannot be said"
    if effect > 0 and p < ALPHA:
        return "holds" if effect >= minimum else "holds in part"
    return "does not hold" if high < minimum else "cannot be said"


def shown_p(p: float, adjusted: float) -> str:
    """``p = .0156``, with the adjusted one where it differs."""
    text = f"p = {_decimal(p)}"
    same = math.isnan(p) or math.isclose(p, adjusted)
    return text if same else f"{text}, {_decimal(adjusted)} after Holm"


def _decimal(p: float) -> str:
    if math.isnan(p):
        return "-"
    return "< .0001" if p < 1e-4 else f"{p:.2g}"
