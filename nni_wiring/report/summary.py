"""Several runs together: mean and spread by strategy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.variants import strategy_labels
from nni_wiring.report.verdict import COLLAPSES, collapse

__all__ = [
    "ScoreSpread",
    "Spread",
    "StrategySummary",
    "spread",
    "strategy_labels",
    "summarise",
    "summary_json",
]


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1; None for a single value) of `n` values."""

    mean: float
    std: float | None
    n: int


class ScoreSpread(NamedTuple):
    """The spread of a benchmark's column over runs: accuracy and percentile in percent, regret in
    percent points; None where no run has a value.
    """

    accuracy: Spread | None
    regret: Spread | None
    percentile: Spread | None


_UNKNOWN = ScoreSpread(None, None, None)


class StrategySummary(NamedTuple):
    """The runs of one strategy; figures are over its finished runs.

    Attributes:
        strategy: name, with the settings in which its runs differ.
        runs, finished, failed: numbers of runs.
        truth: by (data set, split).
        growing_index, selected_edges: spreads, None without a finished run.
        collapse: how many finished runs have each verdict.
    """

    strategy: str
    runs: int
    finished: int
    failed: int
    truth: dict[tuple[str, str], ScoreSpread]
    growing_index: Spread | None
    selected_edges: Spread | None
    collapse: dict[str, int]

    def accuracy(self, dataset: str, split: str) -> Spread | None:
        """Spread of the true accuracy in percent."""
        return self.truth.get((dataset, split), _UNKNOWN).accuracy


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and sample standard deviation of the values that are there; None if there are none."""
    array = np.array([value for value in values if value is not None], dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return None
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Spread(float(array.mean()), std, len(array))


def summarise(
    runs: Sequence[RunAnalysis], labels: Sequence[str] | None = None
) -> dict[str, StrategySummary]:
    """The runs by strategy, in the order in which the strategies first occur.

    Args:
        runs: the runs.
        labels: a name per run; None takes :func:`strategy_labels`.
    """
    names = strategy_labels(runs) if labels is None else labels
    return {
        name: _summary(name, [r for r, own in zip(runs, names, strict=True) if own == name])
        for name in dict.fromkeys(names)
    }


def _columns(runs: Iterable[RunAnalysis]) -> list[tuple[str, str]]:
    """The columns of the runs' benchmarks."""
    return list(dict.fromkeys(key for run in runs for key in run.benchmark.columns))


def _summary(label: str, runs: Sequence[RunAnalysis]) -> StrategySummary:
    done = [run for run in runs if run.facts.status == "finished"]
    truths = [run.truth for run in done if run.truth is not None]
    truth = {}
    for key in _columns(runs):
        scores = [one.at(*key) for one in truths]
        truth[key] = ScoreSpread(
            accuracy=spread(score.accuracy for score in scores),
            regret=spread(score.regret for score in scores),
            percentile=spread(score.percentile for score in scores),
        )
    found = [run.curves.patterns for run in done if run.curves and run.curves.patterns]
    verdicts = [collapse(run.chosen) for run in done if run.chosen]
    return StrategySummary(
        strategy=label,
        runs=len(runs),
        finished=len(done),
        failed=sum(run.facts.status == "failed" for run in runs),
        truth=truth,
        growing_index=spread(float(one.growing_index) for one in found),
        selected_edges=spread(float(one.selected_edges) for one in found),
        collapse={verdict: verdicts.count(verdict) for verdict in COLLAPSES},
    )


def summary_json(summaries: dict[str, StrategySummary]) -> dict[str, Any]:
    """The summary for `analyze --json`: strategy -> figures; a spread is {mean, std, n}."""
    return {
        name: {
            "runs": one.runs,
            "finished": one.finished,
            "failed": one.failed,
            **{figure: _by_dataset(one, figure) for figure in ScoreSpread._fields},
            "growing_index": _spelt(one.growing_index),
            "selected_edges": _spelt(one.selected_edges),
            "collapse": one.collapse,
        }
        for name, one in summaries.items()
    }


def _by_dataset(summary: StrategySummary, figure: str) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    for (dataset, split), found in summary.truth.items():
        tree.setdefault(dataset, {})[split] = _spelt(getattr(found, figure))
    return tree


def _spelt(value: Spread | None) -> dict[str, Any] | None:
    return value._asdict() if value else None
