"""The benchmark's word on the derived cell: accuracy, rank, regret, beside references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from nni_wiring import figures
from nni_wiring.figures import Mark, series
from nni_wiring.figures.series import FloatArray
from nni_wiring.records import EpochRecord, Score
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.cells import benchmark_wiring
from nni_wiring.report.provenance import Provenance, in_words
from nni_wiring.report.sections.base import JSON, Finding, Picture, Section, Table
from nni_wiring.report.words import regret_unit
from nni_wiring.truth import Benchmark, Measure, TruthTable
from nni_wiring.truth.references import references_of


class TruthRow(NamedTuple):
    """One column of a benchmark for one cell; `metric`: data set and split in words."""

    dataset: str
    split: str
    metric: str
    score: Score
    headline: bool


@dataclass(frozen=True, eq=False)
class TruthSection(Section):
    """The truth of a run's cell.

    Attributes:
        benchmark: whose.
        rows: every column of the benchmark, those it lacks with an unknown score.
        answer: the benchmark's word as JSON.
        provenance: which benchmark it is, and what the search ran on.
        epochs, regret: per column the regret of every epoch's cell, percent points, (T,).
        table: the benchmark's numbers; None if only what the run recorded is known.
    """

    name: ClassVar[str] = "truth"
    title: ClassVar[str] = "Truth"
    empty: ClassVar[JSON] = {"truth": None, "provenance": None}

    benchmark: Benchmark
    rows: tuple[TruthRow, ...]
    answer: JSON
    provenance: Provenance
    epochs: np.ndarray
    regret: Mapping[tuple[str, str], FloatArray]
    table: TruthTable | None

    @classmethod
    def of(cls, run: RunAnalysis) -> TruthSection | None:
        """The truth of a run; None where no benchmark holds its cell."""
        if run.truth is None:
            return None
        table = run.table
        answer = table.query(run.arch) if table and run.arch else run.truth.to_json()
        return cls(
            benchmark=run.benchmark,
            rows=tuple(
                TruthRow(
                    *key,
                    run.benchmark.column_title(*key),
                    run.truth.at(*key),
                    key == (run.dataset, run.split),
                )
                for key in run.benchmark.columns
            ),
            answer=answer,
            provenance=run.provenance,
            epochs=series.epoch_numbers(run.records),
            regret=_regrets(run, table),
            table=table,
        )

    @property
    def headline(self) -> TruthRow:
        """The column that stands for the run."""
        return next((row for row in self.rows if row.headline), self.rows[0])

    @property
    def measure(self) -> Measure:
        """The measure of the headline's column."""
        return self.benchmark.measure(self.headline.dataset)

    def findings(self) -> list[Finding]:
        """The headline in a sentence."""
        said = truth_sentence(self)
        return [] if said is None else [Finding("Truth", said)]

    def tables(self) -> list[Table]:
        """Every column of the benchmark."""
        return [
            Table(
                "truth of the derived cell",
                ["metric", self.measure.label, "rank", "percentile", "regret"],
                [[row.metric, *_texts(row.score)] for row in self.rows],
                own=frozenset(place for place, row in enumerate(self.rows) if row.headline),
                note="" if self.findings() else f"Source: {in_words(self.provenance)}.",
            )
        ]

    def pictures(self) -> list[Picture]:
        """The place of the cell among all, and its regret over epochs."""
        found = (_histogram(self), _regret_picture(self))
        return [picture for picture in found if picture is not None]

    def json(self) -> JSON:
        """The benchmark's answer, and its provenance."""
        return {"truth": self.answer, "provenance": asdict(self.provenance)}


def truth_sentence(truth: TruthSection) -> str | None:
    """Headline value with rank, percentile and regret, beside the mean random cell."""
    row, table, unit = truth.headline, truth.table, truth.measure.unit
    score = row.score
    if score.accuracy is None:
        return None
    text = f"{f'{score.accuracy:.2f} {unit}'.strip()} on {row.metric}"
    if score.rank is not None and score.percentile is not None and score.regret is not None:
        below = "points below" if unit == "%" else "from"
        text += (
            f": rank {score.rank:,.0f} of {truth.benchmark.cells:,}, percentile "
            f"{score.percentile:.2f}, {score.regret:.2f} {below} the best cell"
        )
    if table is not None and table.has(row.dataset, row.split):
        mean = table.mean(row.dataset, row.split)
        side = "above" if score.accuracy > mean else "below"
        text += f", {abs(score.accuracy - mean):.2f} {side} the mean random cell ({mean:.2f})"
    return f"{text}. Source: {in_words(truth.provenance)}."


def _texts(score: Score) -> list[str | None]:
    """Accuracy, rank, percentile and regret as a table shows them."""
    digits = (2, 0, 2, 2)
    return [
        None if value is None else f"{value:.{places}f}"
        for value, places in zip(score, digits, strict=True)
    ]


def _regrets(run: RunAnalysis, table: TruthTable | None) -> dict[tuple[str, str], FloatArray]:
    """Regret of every epoch's cell, from the table or, without one, as recorded."""
    found = {}
    for split in run.benchmark.splits:
        key = (run.dataset, split)
        if table is not None and table.has(*key):
            values = _table_regret(run, table, key)
        else:
            values = series.scalar_series(run.records, partial(_recorded_regret, key=key))
        if np.isfinite(values).any():
            found[key] = values
    return found


def _recorded_regret(record: EpochRecord, key: tuple[str, str]) -> float | None:
    return None if record.truth is None else record.truth.at(*key).regret


def _table_regret(run: RunAnalysis, table: TruthTable, key: tuple[str, str]) -> FloatArray:
    regret = table.regret(*key)
    values = [
        np.nan
        if benchmark_wiring(record.arch, table.benchmark) is None
        else regret[table.index_of(str(record.arch))]
        for record in run.records
    ]
    return np.array(values, dtype=np.float64)


def _histogram(truth: TruthSection) -> Picture | None:
    row, table = truth.headline, truth.table
    if table is None or not table.has(row.dataset, row.split):
        return None
    marks = [
        Mark(one.label, one.value, one.kind, one.std)
        for one in references_of(truth.benchmark, table, row.dataset, row.split)
    ]
    if row.score.accuracy is not None:
        found = truth.provenance
        label = "this run" if found.comparable else f"this run ({found.warning})"
        marks.append(Mark(label, row.score.accuracy, "run"))
    figure = figures.truth_histogram_figure(
        table.values(row.dataset, row.split),
        marks,
        f"{row.metric}: where the derived cell stands among all {len(table):,}",
        f"true {row.metric} {truth.measure.label}",
    )
    caption = (
        "All true values, the derived cell (orange), the best cell (green), the mean random "
        f"cell (dashed) and published results (grey). {in_words(truth.provenance)}."
    )
    return Picture("truth_histogram", caption, figure)


def _regret_picture(truth: TruthSection) -> Picture | None:
    if not truth.regret:
        return None
    row, table, reference = truth.headline, truth.table, None
    if table is not None and table.has(row.dataset, row.split):
        best = table.optimum(row.dataset, row.split).accuracy
        reference = abs(best - table.mean(row.dataset, row.split))
    lines = {truth.benchmark.column_title(*key): values for key, values in truth.regret.items()}
    unit = regret_unit(truth.measure)
    caption = f"How far the cell derived in each epoch lies from the best cell, {unit}."
    figure = figures.regret_figure(
        truth.epochs, lines, reference, "Regret of the cell derived in each epoch"
    )
    return Picture("regret", caption, figure)
