"""Is the width preference an artefact of the operation none? With none and without it (S1, ours).

DNW moves one score an edge and operation by S1's local cost of all edges and runs the k largest:
edges drop out of its cell, too, but compete with each other and not with none, which costs 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.pattern_runs import EdgeTable, epoch_alphas, known, none_margins
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import FlipRule, interval
from search_spaces.patterns import NONE

#: arm -> strategy
ARMS = {"with none": "dsnas", "without none": "dnw"}
_INPUTS, _INNER = ("0-1", "0-2"), "1-2"

LAST = FlipRule(
    claim="the intermediate edge ends further from being selected than the input edges",
    null="0-1, 0-2 and 1-2 are exchangeable: the rank of 1-2 is symmetric about the middle",
    minimum=0.4,
    unit="ranks behind the middle one of three",
    spread=0.7,
    family=2,
    least=6,
)


def weaknesses(arm: str, alpha: EdgeTable) -> dict[str, float]:
    """The distance of every edge from being selected, in the arm's own units: the margin of none,
    or minus the largest |score|.
    """
    if arm == "with none":
        return none_margins(alpha)
    return {
        edge: -max(abs(value) for name, value in row.items() if name != NONE)
        for edge, row in known(alpha).items()
    }


def rank_behind(weakness: Mapping[str, float]) -> float:
    """Rank of the intermediate edge among the three edges between the first nodes, the furthest
    from being selected last, less the middle rank: -1, 0 or 1, halves where edges tie.
    """
    edges = (*_INPUTS, _INNER)
    return float(rankdata([weakness[edge] for edge in edges])[-1] - 2)


def _row(run: StudyRun, arm: str, seed: int) -> Row:
    folder = run.search(f"{ARMS[arm]}-s{seed}", strategy=ARMS[arm], seed=seed)
    ends = [weaknesses(arm, alpha) for alpha in epoch_alphas(folder)]
    last = ends[-1]
    return {
        "arm": arm,
        "seed": seed,
        "weakness": last,
        "rank": rank_behind(last),
        "margin": last[_INNER] - float(np.mean([last[edge] for edge in _INPUTS])),
        "ranks": [rank_behind(end) for end in ends],
        "arch": folder.records()[-1].arch,
    }


def measure(run: StudyRun) -> Findings:
    """The same loop twice a seed: single-level, the bias-free head, DSNAS or DNW."""
    rows = [
        run.part(f"{strategy}-s{seed}", partial(_row, run, arm, seed))
        for arm, strategy in ARMS.items()
        for seed in run.seeds
    ]
    ranks = {arm: [row["rank"] for row in rows if row["arm"] == arm] for arm in ARMS}
    with_none, without = (np.array(ranks[arm]) for arm in ARMS)
    lines: list[list[Any]] = []
    for arm, strategy in ARMS.items():
        margins = [row["margin"] for row in rows if row["arm"] == arm]
        last = f"{sum(rank == 1 for rank in ranks[arm])} of {len(ranks[arm])}"
        spread = interval(margins)[:3]
        lines.append([f"{strategy}, {arm}", *interval(ranks[arm])[:3], last, *spread])
    lines.append(["difference", *interval(with_none - without)[:3], None, None, None, None])
    columns = ["arm", "rank behind", "low", "high", "last", "margin", "low", "high"]
    title = "1-2 among 0-1, 0-2 and 1-2, means over seeds; margins in each arm's own units"
    return Findings(
        [Table(title, columns, lines)],
        LAST.judge_all(ranks),
        {"ranks": {arm: _mean_ranks(rows, arm) for arm in ARMS}},
        rows,
    )


def _mean_ranks(rows: list[Row], arm: str) -> list[float]:
    return np.mean([row["ranks"] for row in rows if row["arm"] == arm], axis=0).tolist()


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The mean rank by epoch."""
    title = "Rank of the intermediate edge behind the middle one of three"
    return {"none_mechanism": line_chart(numbers["ranks"], title, "ranks")}


STUDY = Study(
    name="none-mechanism",
    title="is the width preference an artefact of the operation none?",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272; DNW: Wortsman et al., NeurIPS 2019",
    own={"seeds": 8},
    small={
        "space": "nasbench201",
        "head": "bias_free",
        "optimisation": "single_level",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 14,
        "max_steps": 12,
        "alpha_lr": 0.01,
        "alpha_init_mean": 1.0,
        "alpha_init": 0.01,
    },
    paper={
        "space": "nasbench201",
        "head": "bias_free",
        "optimisation": "single_level",
        "epochs": 150,
        "alpha_init_mean": 1.0,
        "alpha_init": 0.01,
    },
    measure=measure,
    plot=plot,
    rules=(LAST,),
    spaces=Spaces(names=("nasbench201",)),
    sized=True,
    reference={"epochs": 100},
)
