"""Runs by strategy beside published rows and references, and apart from them where the search was
not on the benchmark's data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nni_wiring import figures
from nni_wiring.figures import Mark, Strip
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.null import random_cells_p, searched_all_cells
from nni_wiring.report.sections.base import Picture
from nni_wiring.report.summary import (
    StrategySummary,
    spread,
    strategy_labels,
    summarise,
)
from nni_wiring.studies.statistics import holm, interval
from nni_wiring.truth import Benchmark
from nni_wiring.truth.references import Reference, references_of

#: Said of published rows where no run was searched as they were.
NO_RUN_BESIDE = "no run here was searched as it was"


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
        comparable: False for a search on other data or by another protocol than the published
            ones, and for a published row beside no other searches.
        low, high: 95 % t-interval of the mean over runs; None for one run and for what is no run.
        p_random: probability that as many random cells reach this mean; None for what is no run, or
            where the search could choose among a part of the cells only.
        p_random_holm: the same, adjusted by Holm over the methods.
    """

    label: str
    kind: str
    runs: int | None
    mean: float
    std: float | None
    source: str
    comparable: bool = True
    low: float | None = None
    high: float | None = None
    p_random: float | None = None
    p_random_holm: float | None = None


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
    """Blocks of rows of one metric, each best first: strategies with the best and the mean random
    cell, published rows, strategies whose search is not comparable with those.
    """
    parts = _apart(runs)
    beside = any(comparable and _known(part, one) for comparable, part, _ in parts)
    rows = [_reference_row(mark, beside) for mark in one.references]
    own = [
        _run_row(name, summary, part, labels, one)._replace(comparable=comparable)
        for comparable, part, labels in parts
        for name, summary in summarise(part, labels).items()
        if summary.accuracy(one.dataset, one.split) is not None
    ]
    adjusted = holm([np.nan if row.p_random is None else row.p_random for row in own])
    rows += [
        row if row.p_random is None else row._replace(p_random_holm=float(p))
        for row, p in zip(own, adjusted, strict=True)
    ]
    return sorted(rows, key=lambda row: (_block(row), -row.mean))


def _block(row: ComparisonRow) -> int:
    if row.kind == "published":
        return 1
    return 0 if row.comparable else 2


def _reference_row(mark: Reference, beside: bool) -> ComparisonRow:
    """beside: whether a run is comparable with the published rows."""
    if mark.kind != "published":
        return ComparisonRow(mark.label, "reference", None, mark.value, mark.std, mark.source)
    source = mark.source if beside else f"{mark.source}; {NO_RUN_BESIDE}"
    return ComparisonRow(mark.label, "published", None, mark.value, mark.std, source, beside)


def _run_row(
    name: str,
    summary: StrategySummary,
    runs: Sequence[RunAnalysis],
    labels: Sequence[str],
    one: Comparison,
) -> ComparisonRow:
    """The row of one strategy, which has a finished run with a truth."""
    own = [run for run, label in zip(runs, labels, strict=True) if label == name]
    accuracies = _known(own, one)
    found = interval(accuracies)
    std = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
    table, p = own[0].table, None
    whole = all(searched_all_cells(run) for run in own if run.facts.status == "finished")
    if whole and table is not None and table.has(one.dataset, one.split):
        cells = table.values(one.dataset, one.split)
        p = random_cells_p(found.mean, found.values, cells)
    source = _source(summary, runs, labels)
    row = ComparisonRow(name, "run", found.values, found.mean, std, source, p_random=p)
    return row if std is None else row._replace(low=found.low, high=found.high)


def _known(runs: Sequence[RunAnalysis], one: Comparison) -> list[float]:
    """The true accuracies of the finished runs."""
    scores = [
        run.truth.at(one.dataset, one.split).accuracy
        for run in runs
        if run.truth and run.facts.status == "finished"
    ]
    return [score for score in scores if score is not None and np.isfinite(score)]


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
    beside = any(strip.comparable for strip in strips)
    measure = comparison.benchmark.measure(comparison.dataset)
    caption = (
        f"True {comparison.title} {measure.name} of the derived cells: one orange dot a finished "
        "run, diamonds are means, bars one standard deviation."
    )
    if not all(strip.comparable for strip in strips):
        caption += (
            " Hollow: other data or another protocol than that of the published searches, so the "
            "two are not comparable."
        )
    if not beside:
        caption += " Published rows are pale: no run was searched as they were."
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


def _source(summary: StrategySummary, runs: Sequence[RunAnalysis], labels: Sequence[str]) -> str:
    left = summary.runs - summary.finished
    text = f"{summary.finished} of {summary.runs} runs finished" if left else "these runs"
    own = [run for run, label in zip(runs, labels, strict=True) if label == summary.strategy]
    if all(run.provenance.comparable for run in own):
        return text
    notes = list(dict.fromkeys(run.provenance.note for run in own if run.provenance.note))
    why = f": {'; '.join(notes[:2])}" if notes else ""
    return f"{text}; {own[0].provenance.warning}{why}"
