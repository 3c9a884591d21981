"""Runs by strategy beside published rows and references, and apart from them where the search was
not on the benchmark's data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nni_wiring import figures
from nni_wiring.figures import Mark, Strip
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.provenance import NOT_COMPARABLE
from nni_wiring.report.sections.base import Picture
from nni_wiring.report.summary import (
    StrategySummary,
    spread,
    strategy_labels,
    summarise,
)
from nni_wiring.truth import Benchmark
from nni_wiring.truth.references import Reference, references_of


class Comparison(NamedTuple):
    """The references beside the strategies in one metric.

    Attributes:
        benchmark, dataset, split: the metric.
        references: published rows, and the best and the mean random cell where a table has it.
    """

    benchmark: Benchmark
    dataset: str
    split: str
    references: list[Reference]

    @property
    def title(self) -> str:
        """The metric in words."""
        return self.benchmark.column_title(self.dataset, self.split)


class ComparisonRow(NamedTuple):
    """A line of a comparison: accuracies in percent.

    Attributes:
        label: the strategy, or what it is compared with.
        kind: run, published or reference.
        runs: how many, None for what is no run of ours.
        mean, std: over the runs, or as published.
        source: where the number comes from, and why it may not be comparable.
        comparable: False for a search on other data than the benchmark's.
    """

    label: str
    kind: str
    runs: int | None
    mean: float
    std: float | None
    source: str
    comparable: bool = True


def compare(runs: Sequence[RunAnalysis]) -> list[Comparison]:
    """The metrics in which `runs` can be compared: those of their data sets that a run has."""
    judged = [run for run in runs if run.truth is not None]
    found = []
    for benchmark, dataset in dict.fromkeys((run.benchmark, run.dataset) for run in judged):
        own = [run for run in judged if run.benchmark is benchmark]
        table = next((run.table for run in own if run.table is not None), None)
        for split in benchmark.splits:
            known = [run.truth.at(dataset, split).accuracy for run in own if run.truth]
            if spread(known) is not None:
                references = references_of(benchmark, table, dataset, split)
                found.append(Comparison(benchmark, dataset, split, references))
    return found


def comparison_rows(runs: Sequence[RunAnalysis], one: Comparison) -> list[ComparisonRow]:
    """Strategies, published rows and references of one metric, best first; then, best first,
    strategies whose search is not comparable with them.
    """
    rows = [
        ComparisonRow(
            mark.label,
            "published" if mark.kind == "published" else "reference",
            None,
            mark.value,
            mark.std,
            mark.source,
        )
        for mark in one.references
    ]
    for comparable, part, labels in _apart(runs):
        for name, summary in summarise(part, labels).items():
            found = summary.accuracy(one.dataset, one.split)
            if found is not None:
                source = _source(summary, part, labels)
                rows.append(ComparisonRow(name, "run", *_counted(found), source, comparable))
    return sorted(rows, key=lambda row: (not row.comparable, -row.mean))


def comparison_picture(runs: Sequence[RunAnalysis], comparison: Comparison) -> Picture:
    """Runs by strategy in one metric beside the published rows."""
    strips = []
    for comparable, part, labels in _apart(runs):
        values: dict[str, list[float]] = {}
        for run, label in zip(part, labels, strict=True):
            score = run.truth.at(comparison.dataset, comparison.split) if run.truth else None
            if score and score.accuracy is not None and run.facts.status == "finished":
                values.setdefault(label, []).append(score.accuracy)
        strips += [Strip(label, tuple(found), comparable) for label, found in values.items()]
    marks = [
        Mark(
            one.label if one.kind == "published" else f"{one.label} {one.value:.2f}",
            one.value,
            one.kind,
            one.std,
        )
        for one in comparison.references
    ]
    measure = comparison.benchmark.measure(comparison.dataset)
    caption = (
        f"True {comparison.title} {measure.name} of the derived cells: one orange dot a finished "
        "run, diamonds are means, bars one standard deviation."
    )
    if not all(strip.comparable for strip in strips):
        caption += (
            " Hollow: the search was not on the benchmark's data, so it is not comparable with the "
            "published rows."
        )
    return Picture(
        f"compare_{comparison.dataset}_{comparison.split}",
        caption,
        figures.comparison_figure(
            strips,
            marks,
            f"{comparison.title} {measure.name} by strategy",
            f"true {measure.label}",
        ),
    )


def _apart(
    runs: Sequence[RunAnalysis],
) -> list[tuple[bool, list[RunAnalysis], list[str]]]:
    """(comparable, runs, their labels), first the comparable ones."""
    labels = strategy_labels(runs)
    parts = []
    for comparable in (True, False):
        own = [
            (run, label)
            for run, label in zip(runs, labels, strict=True)
            if run.provenance.comparable == comparable
        ]
        if own:
            parts.append((comparable, [run for run, _ in own], [label for _, label in own]))
    return parts


def _counted(found: tuple[float, float | None, int]) -> tuple[int, float, float | None]:
    mean, std, count = found
    return count, mean, std


def _source(summary: StrategySummary, runs: Sequence[RunAnalysis], labels: Sequence[str]) -> str:
    left = summary.runs - summary.finished
    text = f"{summary.finished} of {summary.runs} runs finished" if left else "these runs"
    own = [run for run, label in zip(runs, labels, strict=True) if label == summary.strategy]
    if all(run.provenance.comparable for run in own):
        return text
    notes = list(dict.fromkeys(run.provenance.note for run in own if run.provenance.note))
    why = f": {'; '.join(notes[:2])}" if notes else ""
    return f"{text}; {NOT_COMPARABLE}{why}"
