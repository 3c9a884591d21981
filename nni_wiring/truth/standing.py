"""The standing of every cell in one accuracy: rank, percentile, regret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.truth.benchmark import ACCURACY, Measure

_PERCENTILE_DECIMALS = 4


@dataclass(frozen=True)
class Entry:
    """One cell of a ranking; accuracy is the benchmark's metric, rank 1 is the best."""

    rank: int
    index: int
    arch: str
    accuracy: float


class Standing(NamedTuple):
    """The standing of every cell in one metric, each (cells,) by official index.

    Attributes:
        accuracy: the metric in its unit, NaN where missing.
        rank: 1 is the best, ties share the smaller rank, 0 where missing.
        percentile: percent of the cells that are not better than this one (itself included; the
            best cell has 100).
        regret: distance to the best cell in the metric's unit, NaN where missing.
    """

    accuracy: NDArray[np.float64]
    rank: NDArray[np.int64]
    percentile: NDArray[np.float64]
    regret: NDArray[np.float64]


def stand(values: NDArray[np.floating], measure: Measure = ACCURACY) -> Standing:
    """Rank cells by one metric; NaN means missing and takes part in nothing."""
    accuracy = values.astype(np.float64).round(measure.decimals)
    present = np.isfinite(values)
    order = np.argsort(-measure.sign * values)  # NaN sorts last
    count = int(present.sum())
    ordered = values[order[:count]]
    first = np.ones(count, dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    positions = np.arange(1, count + 1)
    rank = np.zeros(len(values), dtype=np.int64)
    rank[order[:count]] = np.maximum.accumulate(np.where(first, positions, 0))
    best = accuracy[order[0]] if count else np.nan
    percentile = np.where(present, 100.0 * (count + 1 - rank) / max(count, 1), np.nan)
    regret = np.abs(best - accuracy).round(measure.decimals)
    return Standing(accuracy, rank, percentile.round(_PERCENTILE_DECIMALS), regret)
