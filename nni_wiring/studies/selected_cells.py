"""Does another selection on the same supernet find a better cell? On finished searches (S2)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.kept import KeptRun
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import ROWS, in_whole_space, read_rows
from nni_wiring.studies.statistics import FlipRule, interval
from nni_wiring.studies.truths import StudyTruth, truth_of

BETTER = FlipRule(
    claim="a selection on the same supernet finds a better cell than the search's own",
    null="either of the two cells is as likely to be the better one",
    minimum=1.0,
    unit="points of true accuracy",
    spread=1.5,
    least=5,
)


def _selected(kept: KeptRun) -> bool:
    return in_whole_space(kept) and kept.arch is not None and bool(kept.selections)


def _rows(kept: KeptRun, truth: StudyTruth, accuracy: np.ndarray) -> list[Row]:
    def of(arch: str | None) -> float:
        return float(accuracy[truth.table.index_of(arch or "")])

    own = of(kept.arch)
    return [
        {
            "label": kept.label,
            "arm": f"{kept.method}, {selection}",
            "seed": kept.seed,
            "arch": kept.arch,
            "own": own,
            "selected_arch": arch,
            "selected": of(arch),
            "gain": of(arch) - own,
        }
        for selection, arch in kept.selections.items()
    ]


def gains(rows: list[Row]) -> dict[str, list[float]]:
    """Points gained by every arm, the mean over the searches of one seed."""
    found: dict[str, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["arm"]][row["seed"]].append(row["gain"])
    return {arm: [float(np.mean(v)) for v in seeds.values()] for arm, seeds in found.items()}


def measure(run: StudyRun) -> Findings:
    """Validation accuracies of the table; the searches' own cells are those they ended with."""
    truth = truth_of(run)
    accuracy = truth.values()
    kept = read_rows(run, _selected)
    rows = [row for one in kept for row in _rows(one, truth, accuracy)]
    values = gains(rows)
    lines: list[list[Any]] = []
    for arm, gain in values.items():
        own, selected = (
            float(np.mean([row[name] for row in rows if row["arm"] == arm]))
            for name in ("own", "selected")
        )
        ahead = f"{sum(value > 0 for value in gain)} of {len(gain)}"
        lines.append([arm, len(gain), own, selected, *interval(gain)[:3], ahead])
    columns = ["method, selection", "seeds", "own %", "selected %", "gain", "low", "high", "ahead"]
    title = f"{truth.title}, table {truth.table.name}; means over seeds"
    return Findings(
        tables=[Table(title, columns, lines)],
        verdicts=BETTER.judge_all(values),
        numbers={"gains": values},
        rows=rows,
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The gain of every seed."""
    title = "Selected afterwards minus the search's own cell, one point a seed"
    return {"selected_cells": line_chart(numbers["gains"], title, "points", "search")}


STUDY = Study(
    name="selected-cells",
    title="does another selection on the same supernet find a better cell?",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={ROWS: []},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(BETTER,),
    sized=True,
)
