"""The gap between two operations' local costs, and its certainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nni_wiring.records import CostMoments, EpochRecord

#: In which step the costs are taken that alpha followed: the one that moves alpha comes first.
PHASES = ("alpha", "weights")


@dataclass(frozen=True)
class CostGap:
    """The mean local cost dL/dZ of an edge's winner and of its runner-up over some epochs.

    Attributes:
        winner, runner_up: mean cost; the lower one's Z is what lowers the loss.
        confidence: 0..1, that the winner's cost is the lower one: Student's distribution at the
            difference over its standard error (Welch 1947, epochs as strata). Steps and cells
            count as independent. None where variance or count are not recorded.
    """

    winner: float
    runner_up: float
    confidence: float | None


@dataclass(frozen=True)
class _Sample:
    """Moments of one operation's cost in one epoch; variance is that of the population."""

    mean: float
    variance: float | None
    count: float | None

    @property
    def error(self) -> float | None:
        """The squared standard error of the mean; None where it cannot be told."""
        if self.variance is None or self.count is None or self.count < 2:
            return None
        return self.variance / (self.count - 1)


_Pair = tuple[_Sample, _Sample]


def cost_phase(records: Sequence[EpochRecord], edge: str) -> str | None:
    """The phase whose costs of this edge are recorded; None without any."""
    for phase in PHASES:
        if any(phase in record.cost and record.cost[phase].mean.get(edge) for record in records):
            return phase
    return None


def cost_gap(
    records: Sequence[EpochRecord], edge: str, winner: str, runner_up: str, phase: str
) -> CostGap | None:
    """Compare two operations' costs over the epochs in which both ran; None where none is.

    Epochs are weighted by n_w n_r / (n_w + n_r), n the counts. Where some epochs tell the
    uncertainty and others do not, only the former count.
    """
    pairs = []
    for record in records:
        one, two = (_sample(record.cost.get(phase), edge, name) for name in (winner, runner_up))
        if one is not None and two is not None:
            pairs.append((one, two))
    telling = [pair for pair in pairs if None not in (pair[0].error, pair[1].error)]
    used = telling or pairs
    weights = [_weight(pair) for pair in telling] or [1.0] * len(pairs)
    total = math.fsum(weights)
    if not used or total <= 0:
        return None
    shares = [weight / total for weight in weights]
    means = [
        math.fsum(share * pair[side].mean for share, pair in zip(shares, used, strict=True))
        for side in (0, 1)
    ]
    confidence = _confidence(means[1] - means[0], telling, shares) if telling else None
    return CostGap(means[0], means[1], confidence)


def cheapest(record: EpochRecord, edge: str, phase: str) -> str | None:
    """The operation with the lowest mean cost in one epoch; the first of equal ones."""
    moments = record.cost.get(phase)
    row = {} if moments is None else moments.mean.get(edge, {})
    known = {name: value for name, value in row.items() if value is not None}
    return min(known, key=known.__getitem__, default=None)


def _sample(moments: CostMoments | None, edge: str, operation: str) -> _Sample | None:
    if moments is None:
        return None
    mean, variance, count = (
        table.get(edge, {}).get(operation)
        for table in (moments.mean, moments.variance, moments.count)
    )
    if mean is None or count == 0:
        return None
    return _Sample(mean, variance if variance is not None and variance >= 0 else None, count)


def _weight(pair: _Pair) -> float:
    one, two = (sample.count or 0.0 for sample in pair)
    return 1.0 / (1.0 / one + 1.0 / two)


def _confidence(gap: float, pairs: Sequence[_Pair], shares: Sequence[float]) -> float | None:
    """The chance that a true difference is above 0, seen `gap`; Welch-Satterthwaite freedom."""
    from scipy.special import stdtr  # only where records are explained

    parts = [
        (share * share * (sample.error or 0.0), (sample.count or 0.0) - 1)
        for share, pair in zip(shares, pairs, strict=True)
        for sample in pair
    ]
    variance = math.fsum(part for part, _ in parts)
    if not math.isfinite(variance):
        return None
    if variance == 0:
        return 0.5 + 0.5 * ((gap > 0) - (gap < 0))
    freedom = 1.0 / math.fsum((part / variance) ** 2 / free for part, free in parts)
    found = float(stdtr(freedom, gap / math.sqrt(variance)))
    return found if math.isfinite(found) else None
