"""Do searches choose cells that are fast beyond what they end at? On finished searches (S3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.kept import KeptRun
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import (
    OPERATIONS,
    ROWS,
    by_method,
    derives_by_magnitude,
    probabilities,
    read_rows,
)
from nni_wiring.studies.statistics import FlipRule, interval, known
from nni_wiring.studies.truths import in_table, truth_of
from nni_wiring.truth import NASBENCH201
from nni_wiring.truth.speed import SelectedSpeed, SpeedTable

TILTED = FlipRule(
    claim="p(alpha) at the end is tilted to cells that are fast beyond what they end at",
    null="the edges' probabilities stand in any order: operations kept, wiring destroyed",
    minimum=1.0,
    unit="percentiles",
    spread=3.0,
    least=5,
)


def chosen(arch: str, table: SpeedTable) -> SelectedSpeed:
    """Of one cell: its operations with probability one."""
    return table.of(np.eye(len(OPERATIONS))[list(NASBENCH201.codec.parse(arch))])


def _epoch_rows(kept: KeptRun, dataset: str, table: SpeedTable) -> list[Row]:
    return [
        {
            "label": kept.label,
            "method": kept.method,
            "seed": kept.seed,
            "data": dataset,
            "epoch": record.epoch,
            **(found := table.of(probabilities(record)))._asdict(),
            "tilt": found.tilt,
            "cell": chosen(record.arch, table).tilt if record.arch else None,
        }
        for record in kept.records
    ]


def last(rows: list[Row], name: str = "tilt") -> dict[str, list[float]]:
    """A value at the last epoch of every search, by method; the mean over searches of one seed."""
    ends = {(row["method"], row["label"]): row for row in rows}  # rows are in order of epochs
    seeds: dict[str, dict[Any, list[float]]] = {}
    for (method, _), row in ends.items():
        seeds.setdefault(method, {}).setdefault(row["seed"], []).append(row[name])
    return {m: [float(np.mean(v)) for v in found.values()] for m, found in seeds.items()}


def _table(dataset: str, rows: list[Row], short: int) -> Table:
    lines: list[list[Any]] = []
    for method, tilts in last(rows).items():
        means = [float(np.mean(last(rows, name)[method])) for name in ("early", "late", "null")]
        found = interval(tilts)
        cell = float(np.mean(known(last(rows, "cell")[method])))
        lines.append([method, len(tilts), *means, found.mean, found.low, found.high, cell])
    ends = [f"{short} epochs", "end"]
    return Table(
        f"{dataset}: percentiles expected under p(alpha) at the last epoch, means over seeds",
        ["method", "seeds", *ends, "null", "tilt", "low", "high", "tilt of the cell"],
        lines,
    )


def measure(run: StudyRun) -> Findings:
    """From kept searches and a table with accuracies after a shorter training."""
    table = truth_of(run).table
    datasets = table.benchmark.dataset_names
    short = {name: in_table(table, name).ends[0] for name in datasets}
    speeds = {name: SpeedTable(table, name, short[name]) for name in datasets}
    kept = read_rows(run, derives_by_magnitude)
    rows = {
        name: [row for one in kept for row in _epoch_rows(one, name, speed)]
        for name, speed in speeds.items()
    }
    first = datasets[0]
    verdicts = TILTED.judge_all(
        {f"{method}, {first}": tilts for method, tilts in last(rows[first]).items()}
    )
    return Findings(
        tables=[_table(name, found, short[name]) for name, found in rows.items()],
        verdicts=verdicts,
        numbers={"tilt": _curves(rows[first], list(by_method(kept)))},
        rows=[row for found in rows.values() for row in found],
    )


def _curves(rows: list[Row], methods: list[str]) -> dict[str, list[float]]:
    """Mean tilt of every method by epoch, as long as all its searches are."""
    curves: dict[str, list[float]] = {}
    for method in methods:
        searches: dict[str, list[float]] = {}
        for row in rows:
            if row["method"] == method:
                searches.setdefault(row["label"], []).append(row["tilt"])
        curves[method] = np.mean(list(zip(*searches.values(), strict=False)), axis=1).tolist()
    return curves


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The tilt by epoch, a line a method."""
    title = "Fast beyond what it ends at: tilt of p(alpha)"
    return {"selected_speed": line_chart(numbers["tilt"], title, "percentiles")}


STUDY = Study(
    name="selected-speed",
    title="are searches tilted to cells that are fast beyond what they end at?",
    source="Shu et al., ICLR 2020, arXiv 1909.09569; the statistic is ours",
    own={ROWS: []},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(TILTED,),
    sized=True,
)
