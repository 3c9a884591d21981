"""The benchmark's word on the derived cell: accuracy, rank, regret, beside references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from nni_wiring import figures
from nni_wiring.figures import Mark, series
from nni_wiring.figures.series import FloatArray
from nni_wiring.records import EpochRecord, Score, Truth
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.cells import official_wiring
from nni_wiring.report.provenance import NOT_COMPARABLE, Provenance, in_words
from nni_wiring.report.sections.base import JSON, Finding, Picture, Section, Table
from nni_wiring.report.titles import metric_title
from nni_wiring.truth import CELLS, DATASETS, SPLITS, TruthTable
from nni_wiring.truth.references import reference_marks


class TruthRow(NamedTuple):
    """One column of a benchmark for one cell."""

    dataset: str
    split: str
    score: Score
    headline: bool

    @property
    def metric(self) -> str:
        """Data set and split in words."""
        return metric_title(self.dataset, self.split)


@dataclass(frozen=True, eq=False)
class TruthSection(Section):
    """The truth of a run's cell.

    Attributes:
        rows: every column of the benchmark, those it lacks with an unknown score.
        answer: the benchmark's word as JSON.
        provenance: which benchmark it is, and what the search ran on.
        epochs, regret: per column the regret of every epoch's cell, percent points, (T,).
        table: the benchmark's numbers; None if only what the run recorded is known.
    """

    name: ClassVar[str] = "truth"
    title: ClassVar[str] = "Truth"
    empty: ClassVar[JSON] = {"truth": None, "provenance": None}

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
        official = official_wiring(run.arch)
        table = run.table if run.truth.benchmark == Truth.benchmark else None
        answer = table.query(official.arch) if table and official else run.truth.to_json()
        return cls(
            rows=tuple(
                TruthRow(*key, run.truth.at(*key), key == (run.dataset, run.split))
                for key in columns_of(run.truth)
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

    def findings(self) -> list[Finding]:
        """The headline in a sentence."""
        said = truth_sentence(self.headline, self.table, self.provenance)
        return [] if said is None else [Finding("Truth", said)]

    def tables(self) -> list[Table]:
        """Every column of the benchmark."""
        return [
            Table(
                "truth of the derived cell",
                ["metric", "accuracy %", "rank", "percentile", "regret"],
                [[row.metric, *_texts(row.score)] for row in self.rows],
                own=frozenset(place for place, row in enumerate(self.rows) if row.headline),
                note="" if self.findings() else f"Source: {in_words(self.provenance)}.",
            )
        ]

    def pictures(self) -> list[Picture]:
        """Where the cell stands among all, and its regret over epochs."""
        found = (_histogram(self), _regret_picture(self))
        return [picture for picture in found if picture is not None]

    def json(self) -> JSON:
        """The benchmark's answer, and its provenance."""
        return {"truth": self.answer, "provenance": self.provenance._asdict()}


def columns_of(truth: Truth) -> list[tuple[str, str]]:
    """The columns that are shown: all of NAS-Bench-201's, or those that the truth speaks of."""
    if truth.benchmark == Truth.benchmark:
        return [(dataset, split) for dataset in DATASETS for split in SPLITS]
    return list(truth.scores) or [("", "")]


def truth_sentence(row: TruthRow, table: TruthTable | None, provenance: Provenance) -> str | None:
    """Headline accuracy with rank, percentile and regret, beside the mean random cell."""
    score = row.score
    if score.accuracy is None:
        return None
    text = f"{score.accuracy:.2f} % on {row.metric}"
    if score.rank is not None and score.percentile is not None and score.regret is not None:
        text += (
            f": rank {score.rank:,.0f} of {CELLS:,}, percentile {score.percentile:.2f}, "
            f"{score.regret:.2f} points below the best cell"
        )
    if table is not None and table.has(row.dataset, row.split):
        mean = table.mean(row.dataset, row.split)
        side = "above" if score.accuracy > mean else "below"
        text += f", {abs(score.accuracy - mean):.2f} {side} the mean random cell ({mean:.2f})"
    return f"{text}. Source: {in_words(provenance)}."


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
    for split in SPLITS:
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
    wirings = [official_wiring(record.arch) for record in run.records]
    return np.array(
        [np.nan if one is None else regret[table.index_of(one.indices)] for one in wirings],
        dtype=np.float64,
    )


def _histogram(truth: TruthSection) -> Picture | None:
    row, table = truth.headline, truth.table
    if table is None or not table.has(row.dataset, row.split):
        return None
    marks = [
        Mark(one.label, one.value, one.kind, one.std)
        for one in reference_marks(table, row.dataset, row.split)
    ]
    if row.score.accuracy is not None:
        label = "this run" if truth.provenance.comparable else f"this run ({NOT_COMPARABLE})"
        marks.append(Mark(label, row.score.accuracy, "run"))
    figure = figures.truth_histogram_figure(
        table.values(row.dataset, row.split),
        marks,
        f"{row.metric}: where the derived cell stands among all {len(table):,}",
        f"true {row.metric} accuracy, %",
    )
    caption = (
        "All true accuracies, the derived cell (orange), the best cell (green), the mean random "
        f"cell (dashed) and published results (grey). {in_words(truth.provenance)}."
    )
    return Picture("truth_histogram", caption, figure)


def _regret_picture(truth: TruthSection) -> Picture | None:
    if not truth.regret:
        return None
    row, table, reference = truth.headline, truth.table, None
    if table is not None and table.has(row.dataset, row.split):
        best = table.optimum(row.dataset, row.split).accuracy
        reference = best - table.mean(row.dataset, row.split)
    lines = {metric_title(*key): values for key, values in truth.regret.items()}
    caption = "How far the cell derived in each epoch lies below the best cell, in percent points."
    figure = figures.regret_figure(
        truth.epochs, lines, reference, "Regret of the cell derived in each epoch"
    )
    return Picture("regret", caption, figure)
