"""Finished searches epoch by epoch: S1's gap, S2's skip dominance, and a good cell's late fall."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.records import EpochRecord
from nni_wiring.runs.kept import KeptRun
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import (
    OPERATIONS,
    ROWS,
    derives_by_magnitude,
    probabilities,
    read_rows,
)
from nni_wiring.studies.statistics import FlipRule
from nni_wiring.studies.truths import truth_of

#: Shares of a search at whose ends the table has a row.
_SHARES = (0.1, 0.3, 0.5, 0.7, 1.0)
_SHOWN = {"skip": "skip_connect", "conv 3x3": "nor_conv_3x3", "none": "none"}

GAP = FlipRule(
    claim="S1: L - H of the search half rises above that of the training half over the search",
    null="the rise of the difference from the first tenth to the end is symmetric about 0",
    minimum=0.05,
    unit="nats",
    spread=0.03,
    least=5,
)
SKIP = FlipRule(
    claim="S2: convolutions lead at first, and skip overtakes them as the supernet gets better",
    null="the change of Z(skip) - Z(conv 3x3) from its least value to the end is symmetric about 0",
    minimum=0.02,
    unit="of Z",
    spread=0.03,
    least=5,
)
FALL = FlipRule(
    claim="a search's cell falls late: that of the end is worse than those of its second half",
    null="the mean of the second half minus the end is symmetric about 0",
    minimum=1.0,
    unit="points of true accuracy",
    spread=3.0,
    least=5,
)


def share_of(record: EpochRecord, operation: str) -> float:
    """Mean p(alpha) of an operation over the edges."""
    return float(probabilities(record)[:, OPERATIONS.index(operation)].mean())


def gap(record: EpochRecord) -> float:
    """L - H of the search half minus that of the training half, nats; NaN without both."""
    parts = record.loss_minus_entropy
    return parts.get("search", np.nan) - parts.get("train", np.nan)


def curves(kept: KeptRun, accuracy: np.ndarray) -> dict[str, list[float]]:
    """All that the tables and tests use, an epoch each; accuracy: of every epoch's cell."""
    found = {
        "supernet %": [r.accuracy.get("search", np.nan) for r in kept.records],
        **{f"Z {name}": [share_of(r, o) for r in kept.records] for name, o in _SHOWN.items()},
        "L - H train": [r.loss_minus_entropy.get("train", np.nan) for r in kept.records],
        "L - H search": [r.loss_minus_entropy.get("search", np.nan) for r in kept.records],
        "gap": [gap(r) for r in kept.records],
        "true %": accuracy.tolist(),
    }
    return {name: [float(value) for value in values] for name, values in found.items()}


def changes(found: dict[str, list[float]]) -> dict[str, float]:
    """The three statistics of one search: the rise of the gap, skip's overtaking (0 where skip
    never was behind, below 0 where it ends behind), and the fall.
    """
    lead = np.subtract(found["Z skip"], found["Z conv 3x3"])
    epochs = len(lead)
    first = max(1, epochs // 10)
    true = np.asarray(found["true %"])
    return {
        "gap": float(found["gap"][-1] - np.mean(found["gap"][:first])),
        "skip": float(lead[-1] - lead.min()) if lead[-1] > 0 > lead.min() else min(lead[-1], 0.0),
        "fall": float(true[epochs // 2 :].mean() - true[-1]),
    }


def measure(run: StudyRun) -> Findings:
    """True accuracies are validation accuracies from the table."""
    truth = truth_of(run)
    table, accuracy = truth.table, truth.values()
    rows: list[Row] = []
    for kept in read_rows(run, derives_by_magnitude):
        places = [table.index_of(record.arch or "") for record in kept.records]
        found = curves(kept, accuracy[places].astype(float))
        label = {"label": kept.label, "method": kept.method, "seed": kept.seed}
        rows.append({**label, **changes(found), "curves": found})
    methods = list(dict.fromkeys(row["method"] for row in rows))
    tables = [_table(method, [r for r in rows if r["method"] == method]) for method in methods]
    verdicts = [
        verdict
        for rule, name in ((GAP, "gap"), (SKIP, "skip"), (FALL, "fall"))
        for verdict in rule.judge_all({m: _seeds(rows, m, name) for m in methods})
    ]
    lines = {f"{m}, Z {n}": _mean(rows, m, f"Z {n}") for m in methods[:3] for n in _SHOWN}
    return Findings(tables, verdicts, {"shares": lines}, rows)


def _seeds(rows: list[Row], method: str, name: str) -> list[float]:
    return [row[name] for row in rows if row["method"] == method]


def _mean(rows: list[Row], method: str, name: str) -> list[float]:
    own = [row["curves"][name] for row in rows if row["method"] == method]
    length = min(map(len, own))
    return np.mean([curve[:length] for curve in own], axis=0).tolist()


def _table(method: str, rows: list[Row]) -> Table:
    names = [name for name in rows[0]["curves"] if name != "gap"]
    length = min(len(row["curves"]["true %"]) for row in rows)
    epochs = [max(1, round(share * length)) for share in _SHARES]
    lines: list[list[Any]] = [
        [epoch, *(_mean(rows, method, name)[epoch - 1] for name in names)] for epoch in epochs
    ]
    title = f"{method}: mean over {len(rows)} seed(s); Z is the mean over the edges"
    return Table(title, ["epoch", *names], lines)


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Mean Z over epochs."""
    figure = line_chart(numbers["shares"], "Mean Z over the edges, by epoch", "Z")
    return {"search_trajectories": figure}


STUDY = Study(
    name="search-trajectories",
    title="finished searches epoch by epoch: gap, skip dominance, late fall",
    source="Xie et al., arXiv 2009.01272; Wang et al., arXiv 2108.04392",
    own={ROWS: []},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(GAP, SKIP, FALL),
    sized=True,
)
