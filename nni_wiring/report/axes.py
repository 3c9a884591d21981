"""Accuracy along a continuous setting: a mean per value, and the rank correlation with its test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.variants import number, strategy_labels, varied
from nni_wiring.studies.statistics import interval, known, spearman

PERMUTATIONS = 20_000


class Level(NamedTuple):
    """One value of the setting: its runs, their mean with a 95 % t-interval (None for one run)."""

    value: float
    runs: int
    mean: float
    low: float | None
    high: float | None


class Axis(NamedTuple):
    """The finished runs of one method along one continuous setting; accuracies in percent.

    Attributes:
        method, setting: whose, and along which.
        levels: by rising value.
        rho: Spearman's rank correlation of value and accuracy over the runs; None where the
            accuracy is constant.
        p: two-sided, under permutations of the values (:func:`trend_p`); None without rho.
        within_seeds: whether values were permuted within each seed only.
    """

    method: str
    setting: str
    levels: list[Level]
    rho: float | None
    p: float | None
    within_seeds: bool

    def json(self) -> dict[str, object]:
        """The axis as plain values."""
        return self._asdict() | {"levels": [level._asdict() for level in self.levels]}


def axes_of(runs: Sequence[RunAnalysis], dataset: str, split: str) -> list[Axis]:
    """Every continuous setting in which the finished runs of a method differ."""
    found = []
    labels = strategy_labels(runs)
    for label in dict.fromkeys(labels):
        own = [
            (run, run.truth.at(dataset, split).accuracy)
            for run, name in zip(runs, labels, strict=True)
            if name == label and run.truth and run.facts.status == "finished"
        ]
        settings = varied(runs, own[0][0].facts.strategy).axes if own else ()
        for setting in settings:
            rows = [
                (value, accuracy, run.facts.seed)
                for run, accuracy in own
                if accuracy is not None
                and (value := number(run.facts.config.get(setting, ""))) is not None
            ]
            if len({value for value, _, _ in rows}) > 1:
                values, accuracies, seeds = (list(column) for column in zip(*rows, strict=True))
                found.append(_axis(label, setting, values, accuracies, seeds))
    return found


def trend_p(
    values: ArrayLike, accuracies: ArrayLike, blocks: Sequence[object], *, seed: int = 0
) -> float:
    """Two-sided p of the rank correlation under permutations of the values within each block.

    20,000 random permutations from ``seed``, the observed order counted among them; NaN where
    values or accuracies are constant.

    Args:
        values, accuracies: one a run.
        blocks: per run its block; runs of one seed differ less than runs of two.
    """
    x, y = (stats.rankdata(np.asarray(a, dtype=float)) for a in (values, accuracies))
    if not (np.ptp(x) and np.ptp(y)):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    draw = np.random.default_rng(seed)
    shuffled = np.tile(x, (PERMUTATIONS, 1))
    for block in dict.fromkeys(blocks):
        places = [place for place, own in enumerate(blocks) if own == block]
        shuffled[:, places] = draw.permuted(shuffled[:, places], axis=1)
    slack = 1e-9 * float(np.abs(x) @ np.abs(y))
    extreme = int((np.abs(shuffled @ y) >= abs(float(x @ y)) - slack).sum())
    return (extreme + 1) / (PERMUTATIONS + 1)


def _axis(
    method: str,
    setting: str,
    values: list[float],
    accuracies: list[float],
    seeds: list[int | None],
) -> Axis:
    x, y = np.array(values), np.array(accuracies)
    of_seed = {s: {v for v, own in zip(values, seeds, strict=True) if own == s} for s in seeds}
    within = None not in of_seed and all(len(found) > 1 for found in of_seed.values())
    rho = spearman(x, y)
    p = trend_p(x, y, seeds if within else [0] * len(x))
    levels = [_level(value, y[x == value]) for value in sorted(set(values))]
    unknown = np.isnan(rho)
    return Axis(method, setting, levels, None if unknown else rho, None if unknown else p, within)


def _level(value: float, accuracies: np.ndarray) -> Level:
    found = interval(known(accuracies))
    if found.values < 2:
        return Level(value, found.values, found.mean, None, None)
    return Level(value, found.values, found.mean, found.low, found.high)
