"""The scatter of single trainings of one cell in a truth table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nni_wiring.explain.landscape import Landscape, known

_NEAR = 12.5  # percentiles: a quarter of all cells, the explained one in the middle
_QUANTILE = 1.96


@dataclass(frozen=True)
class TruthNoise:
    """The effect of chance alone on the accuracies of cells about as good as the explained one.

    Attributes:
        trainings: of the explained cell, whose mean is its accuracy; None where the table does not
            tell.
        deviation: standard deviation of one training, percent points, pooled over the cells whose
            accuracy lies within 12.5 percentiles; None where none of them has two trainings.
        difference: percent points that the means of two equal cells exceed in one case of twenty,
            trained as often as the explained one; None where one of the two above is.
    """

    trainings: int | None
    deviation: float | None
    difference: float | None


def truth_noise(land: Landscape, index: int) -> TruthNoise:
    """Of the table's accuracy that a landscape shows, about the cell with an official index."""
    metric = land.table.metric(land.dataset, land.split)
    if metric.trials is None:
        return TruthNoise(None, None, None)
    counts = np.isfinite(metric.trials).sum(axis=0)
    trainings = int(counts[index]) or None
    deviation = known(_deviation(metric.trials, _near(metric.mean, index) & (counts > 1)))
    if deviation is None or trainings is None:
        return TruthNoise(trainings, deviation, None)
    return TruthNoise(trainings, deviation, _QUANTILE * deviation * (2 / trainings) ** 0.5)


def _near(mean: np.ndarray, index: int) -> np.ndarray:
    """(cells,) True for those within the percentiles."""
    rank = 100 * np.searchsorted(np.sort(mean[np.isfinite(mean)]), mean) / len(mean)
    near: np.ndarray = np.abs(rank - rank[index]) <= _NEAR
    return near


def _deviation(trials: np.ndarray, chosen: np.ndarray) -> float:
    """Pooled over the chosen cells; NaN where there are none."""
    own = trials[:, chosen].astype(np.float64)
    if not own.size:
        return np.nan
    squares = np.nansum((own - np.nanmean(own, axis=0)) ** 2)
    return float(np.sqrt(squares / (np.isfinite(own).sum(axis=0) - 1).sum()))
