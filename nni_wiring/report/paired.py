"""Tests between methods over the seeds that they share: paired flips, Friedman's test, and the
critical difference of mean ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from nni_wiring import figures
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.base import Picture
from nni_wiring.report.summary import strategy_labels
from nni_wiring.studies.statistics import flips_needed, holm, interval, paired_flip

ALPHA = 0.05


class PairedDifference(NamedTuple):
    """Two methods over their common seeds; accuracies in percent points.

    Attributes:
        first, second: the methods.
        seeds: how many they share.
        mean, low, high: of first - second, with a 95 % t-interval (None for one seed).
        p: of the exact sign-flip test, two-sided; adjusted: by Holm over all pairs of methods.
        decidable: False where so few seeds cannot reach p < .05, whatever they say.
    """

    first: str
    second: str
    seeds: int
    mean: float
    low: float | None
    high: float | None
    p: float
    adjusted: float
    decidable: bool


class MeanRanks(NamedTuple):
    """Friedman's test over the seeds that all methods share, and Nemenyi's critical difference
    (Demsar, JMLR 2006, section 3.2.2).

    Attributes:
        ranks: method -> mean rank, 1 for the best; ties share their mean.
        seeds: how many.
        chi_squared, p: of Friedman's test (its chi-squared form).
        critical_difference: two mean ranks further apart differ at the 5 % level.
    """

    ranks: dict[str, float]
    seeds: int
    chi_squared: float
    p: float
    critical_difference: float


class Paired(NamedTuple):
    """The tests of one metric; ``ranks`` is None for fewer than three methods or two seeds."""

    differences: list[PairedDifference]
    ranks: MeanRanks | None

    def json(self) -> dict[str, Any]:
        """The tests as plain values."""
        return {
            "differences": [one._asdict() for one in self.differences],
            "ranks": None if self.ranks is None else self.ranks._asdict(),
        }


def paired_tests(runs: Sequence[RunAnalysis], dataset: str, split: str) -> Paired:
    """The tests between all methods of finished runs by true accuracy.

    A method that has several runs of one seed is taken at their mean.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for run, label in zip(runs, strategy_labels(runs), strict=True):
        score = run.truth.at(dataset, split).accuracy if run.truth else None
        if score is not None and run.facts.seed is not None and run.facts.status == "finished":
            found.setdefault(label, {}).setdefault(run.facts.seed, []).append(score)
    return over_common_seeds(
        {
            label: {seed: float(np.mean(values)) for seed, values in seeds.items()}
            for label, seeds in found.items()
        }
    )


def ranks_picture(paired: Paired, name: str, title: str) -> Picture | None:
    """The critical-difference diagram; None where there are no mean ranks.

    Args:
        paired: the tests of one metric.
        name: of the picture's file.
        title: the metric in words.
    """
    found = paired.ranks
    if found is None:
        return None
    caption = (
        f"Mean ranks over {found.seeds} common seeds, best on the left; a bar joins methods that "
        f"are no further apart than Nemenyi's critical difference at the 5 % level. Friedman's "
        f"p = {found.p:.3g}"
        + ("." if found.p < ALPHA else ": the methods do not differ, whatever the ranks say.")
    )
    figure = figures.critical_difference_figure(found.ranks, found.critical_difference, title)
    return Picture(name, caption, figure)


def over_common_seeds(methods: Mapping[str, Mapping[int, float]]) -> Paired:
    """The tests between methods, given as method -> seed -> accuracy in percent."""
    pairs = [
        (first, second, np.array([methods[first][seed] - methods[second][seed] for seed in common]))
        for first, second in combinations(methods, 2)
        if (common := sorted(methods[first].keys() & methods[second].keys()))
    ]
    p_values = [paired_flip(differences) for _, _, differences in pairs]
    needed = flips_needed("two-sided")
    rows = [
        PairedDifference(
            first,
            second,
            len(differences),
            *_mean(differences),
            p,
            float(adjusted),
            len(differences) >= needed,
        )
        for (first, second, differences), p, adjusted in zip(
            pairs, p_values, holm(p_values), strict=True
        )
    ]
    return Paired(rows, _ranks(methods))


def critical_difference(methods: int, seeds: int) -> float:
    """Nemenyi's critical difference of two mean ranks at the 5 % level (Demsar 2006, eq. 6)."""
    quantile = stats.studentized_range.ppf(1 - ALPHA, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * seeds)))


def _mean(differences: np.ndarray) -> tuple[float, float | None, float | None]:
    found = interval(differences)
    if found.values < 2:
        return found.mean, None, None
    return found.mean, found.low, found.high


def _ranks(methods: Mapping[str, Mapping[int, float]]) -> MeanRanks | None:
    common = sorted(set.intersection(*(set(one) for one in methods.values()))) if methods else []
    if len(methods) < 3 or len(common) < 2:
        return None
    values = np.array([[one[seed] for seed in common] for one in methods.values()])
    ranks = stats.rankdata(-values, axis=0).mean(axis=1)
    if np.ptp(values, axis=0).max() == 0:  # all alike: scipy divides by zero
        chi_squared, p = 0.0, 1.0
    else:
        chi_squared, p = map(float, stats.friedmanchisquare(*values))
    return MeanRanks(
        dict(zip(methods, map(float, ranks), strict=True)),
        len(common),
        chi_squared,
        p,
        critical_difference(len(methods), len(common)),
    )
