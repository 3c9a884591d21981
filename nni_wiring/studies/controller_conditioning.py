"""Does a trained controller condition on its past? Exactly: its policy is written out (S4)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.controllers import ENAS, Recipe, policy, train, untrained
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.marginals import accuracy_cube
from nni_wiring.studies.policies import Floats, entropy, reference, total_correlation
from nni_wiring.studies.statistics import EquivalenceRule
from nni_wiring.truth import load_table

UNCONDITIONED = EquivalenceRule(
    claim="a trained controller does not condition on its past choices",
    null="its total correlation is at least a tenth of that of the best policy of its entropy",
    minimum=0.1,
    unit="of the best policy's total correlation",
    spread=0.05,
)

#: Stages of a controller's training at which its policy is read, beside the untrained one.
STAGES = 4


def reading(p: Floats, values: Floats) -> Row:
    """E[value], entropy, total correlation and that of the best policy of this entropy."""
    nats = entropy(p)
    best = reference(values, nats)
    return {
        "expectation": float((p * values).sum()),
        "entropy": nats,
        "correlation": total_correlation(p),
        "best_expectation": best.expectation,
        "best_correlation": best.total_correlation,
    }


def trained(values: Floats, seed: int, steps: int, learning_rate: float) -> list[Row]:
    """ENAS' controller, rewarded with the truth (percent / 100), read untrained and at STAGES."""
    rows = [{"seed": seed, "steps": 0, **reading(policy(untrained(seed)), values)}]
    stages = train(values, seed, Recipe(steps, learning_rate), STAGES)
    for stage, controller in enumerate(stages, start=1):
        done = stage * (steps // STAGES)
        rows.append({"seed": seed, "steps": done, **reading(policy(controller), values)})
    return rows


def _table(rows: list[Row]) -> Table:
    names = ["expectation", "entropy", "correlation", "best_expectation", "best_correlation"]
    found = []
    for done in sorted({row["steps"] for row in rows}):
        own = [row for row in rows if row["steps"] == done]
        found.append([done, *(float(np.mean([row[name] for row in own])) for name in names)])
    return Table(
        "policies, mean over seeds; best: p ~ exp(valid / T) of equal entropy",
        ["updates", "E[valid], %", "H, nats", "TC, nats", "best E[valid], %", "best TC, nats"],
        found,
    )


def measure(run: StudyRun) -> Findings:
    """Exact but for the cells that are drawn in training; no network."""
    values = accuracy_cube(load_table(), "cifar10", "valid")
    rows: list[Row] = []
    for seed in run.seeds:
        seeded = partial(trained, values, seed, run["steps"], run["learning_rate"])
        rows += run.part(f"seed-{seed}", seeded)
    last = [row for row in rows if row["steps"] == rows[-1]["steps"]]
    ratios = [row["correlation"] / row["best_correlation"] for row in last]
    table = _table(rows)
    lines = {"controller": [row[3] for row in table.rows], "best": [row[5] for row in table.rows]}
    return Findings([table], [UNCONDITIONED.judge(ratios)], {"lines": lines}, rows)


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Total correlation over the training."""
    title = "Total correlation of the controller's policy and of the best one of its entropy"
    figure = line_chart(numbers["lines"], title, "nats", "quarter of the training")
    return {"controller_conditioning": figure}


STUDY = Study(
    name="controller-conditioning",
    title="the controller's policy written out: total correlation against the best of its entropy",
    source="after Adam and Lorraine, arXiv 1904.00438; the measure is ours",
    own={"seeds": 10, "steps": 1000, "learning_rate": ENAS.alpha_lr},
    reduced={},
    paper={"steps": 2000},
    measure=measure,
    plot=plot,
    rules=(UNCONDITIONED,),
)
