"""Several runs together: mean and spread by strategy, beside published rows and references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nni_wiring.figures import series
from nni_wiring.figures.series import dig
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.truth import DATASETS, SPLITS, PublishedRow, TruthTable, published_rows

_FIGURES = ("accuracy", "regret", "percentile")
_NOT_A_VARIANT = {"seed", "strategy", "run_id", "threads"}
_MOST_VARIANTS = 4  # a setting with more values is a tuned number, not a variant of the method


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1; None for a single value) of `n` values."""

    mean: float
    std: float | None
    n: int


class StrategySummary(NamedTuple):
    """The runs of one strategy; figures are over its finished runs.

    Attributes:
        strategy: name, with the settings in which its runs differ.
        runs, finished, failed: numbers of runs.
        truth: `accuracy`, `regret` (percent points) or `percentile` -> data set -> split -> spread,
            None where no run has a value.
        growing_index, selected_edges: spreads, None without a finished run.
        collapse: how many finished runs have each verdict.
    """

    strategy: str
    runs: int
    finished: int
    failed: int
    truth: dict[str, dict[str, dict[str, Spread | None]]]
    growing_index: Spread | None
    selected_edges: Spread | None
    collapse: dict[str, int]

    def accuracy(self, dataset: str, split: str) -> Spread | None:
        """Spread of the true accuracy in percent."""
        return self.truth["accuracy"][dataset][split]


class Comparison(NamedTuple):
    """What stands beside the strategies in one metric.

    Attributes:
        dataset, split: the metric.
        published: rows of papers for it.
        optimum, random_mean: accuracy (percent) of the best and of the mean random cell, None
            without a table that has the metric.
    """

    dataset: str
    split: str
    published: list[PublishedRow]
    optimum: float | None
    random_mean: float | None


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and sample standard deviation of the values that are there; None if there are none."""
    array = np.array([value for value in values if value is not None], dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return None
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Spread(float(array.mean()), std, len(array))


def strategy_labels(runs: Sequence[RunAnalysis]) -> list[str]:
    """Per run its strategy's name, with the settings in which the runs of that strategy differ."""
    labels = []
    for run in runs:
        siblings = [r.config for r in runs if r.strategy == run.strategy and r.epochs]
        keys = sorted({key for config in siblings for key in config} - _NOT_A_VARIANT)
        parts = [
            f"{key}={run.config[key]}"
            for key in keys
            if key in run.config
            and 2 <= len({config[key] for config in siblings if key in config}) <= _MOST_VARIANTS
        ]
        labels.append(f"{run.strategy} ({', '.join(parts)})" if parts else run.strategy)
    return labels


def summarise(runs: Sequence[RunAnalysis]) -> dict[str, StrategySummary]:
    """The runs by strategy, in the order in which the strategies first occur."""
    labels = strategy_labels(runs)
    return {
        label: _summary(label, [r for r, own in zip(runs, labels, strict=True) if own == label])
        for label in dict.fromkeys(labels)
    }


def compare(runs: Sequence[RunAnalysis], table: TruthTable | None) -> list[Comparison]:
    """The metrics in which `runs` can be compared: those of their data sets that a run has."""
    found = []
    for dataset in dict.fromkeys(run.dataset for run in runs if run.truth):
        for split in SPLITS:
            known = [dig(run.truth, "accuracy", dataset, split) for run in runs]
            if spread(series.number(value) for value in known) is None:
                continue
            has = table is not None and table.has(dataset, split)
            found.append(
                Comparison(
                    dataset,
                    split,
                    [row for row in published_rows(dataset) if row.split == split],
                    table.optimum(dataset, split).accuracy if table and has else None,
                    table.mean(dataset, split) if table and has else None,
                )
            )
    return found


class ComparisonRow(NamedTuple):
    """A line of a comparison: accuracies in percent; `kind` is run, published or reference."""

    label: str
    kind: str
    runs: int | None
    mean: float
    std: float | None
    source: str


def comparison_rows(runs: Sequence[RunAnalysis], one: Comparison) -> list[ComparisonRow]:
    """Strategies, published rows and references of one metric, best first."""
    rows = []
    for name, summary in summarise(runs).items():
        found = summary.accuracy(one.dataset, one.split)
        if found is not None:
            source = _failures(summary)
            rows.append(ComparisonRow(name, "run", found.n, found.mean, found.std, source))
    for row in one.published:
        rows.append(ComparisonRow(row.method, "published", None, row.mean, row.std, row.source))
    if one.optimum is not None:
        rows.append(ComparisonRow("best cell", "reference", None, one.optimum, None, "truth table"))
    if one.random_mean is not None:
        label = "mean random cell"
        rows.append(ComparisonRow(label, "reference", None, one.random_mean, None, "truth table"))
    return sorted(rows, key=lambda row: -row.mean)


def _failures(summary: StrategySummary) -> str:
    left = summary.runs - summary.finished
    return f"{summary.finished} of {summary.runs} runs finished" if left else "these runs"


def _summary(label: str, runs: Sequence[RunAnalysis]) -> StrategySummary:
    done = [run for run in runs if run.status == "finished"]
    truth = {
        figure: {
            dataset: {
                split: spread(series.number(dig(r.truth, figure, dataset, split)) for r in done)
                for split in SPLITS
            }
            for dataset in DATASETS
        }
        for figure in _FIGURES
    }
    found = [run.patterns for run in done if run.patterns]
    verdicts = [run.collapse for run in done]
    return StrategySummary(
        strategy=label,
        runs=len(runs),
        finished=len(done),
        failed=sum(run.status == "failed" for run in runs),
        truth=truth,
        growing_index=spread(float(one.growing_index) for one in found),
        selected_edges=spread(float(one.selected_edges) for one in found),
        collapse={verdict: verdicts.count(verdict) for verdict in ("skip", "none")},
    )


def run_json(run: RunAnalysis, report: str | None) -> dict[str, Any]:
    """One run for `analyze --json`; `report` is the path of its page."""
    found = run.patterns
    return {
        "run_id": run.run_id,
        "strategy": run.strategy,
        "space": run.space,
        "data": run.data,
        "seed": run.seed,
        "epochs": run.epochs,
        "status": run.status,
        "error": run.error,
        "arch": run.arch,
        "truth": run.truth,
        "topology": run.topology,
        "patterns": {
            "growing_index": found.growing_index if found else None,
            "width_preference": found.width_preference if found else None,
            "recovery_epochs": dict(found.recovery_epochs) if found else {},
            "selected_edges": found.selected_edges if found else None,
            "collapse": run.collapse,
        },
        "cost": run.cost,
        "notes": list(run.notes),
        "report": report,
    }


def summary_json(summaries: dict[str, StrategySummary]) -> dict[str, Any]:
    """The summary for `analyze --json`: strategy -> figures; a spread is {mean, std, n}."""

    def spelt(value: Spread | None) -> dict[str, Any] | None:
        return value._asdict() if value else None

    return {
        name: {
            "runs": one.runs,
            "finished": one.finished,
            "failed": one.failed,
            **{
                figure: {
                    dataset: {split: spelt(value) for split, value in splits.items()}
                    for dataset, splits in one.truth[figure].items()
                }
                for figure in _FIGURES
            },
            "growing_index": spelt(one.growing_index),
            "selected_edges": spelt(one.selected_edges),
            "collapse": one.collapse,
        }
        for name, one in summaries.items()
    }
