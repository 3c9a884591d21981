"""The knobs that S1's code has, one changed at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.store import RunFolder
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict
from nni_wiring.studies.growing import STUDY as GROWING
from nni_wiring.studies.operation_costs import uniform_options
from nni_wiring.studies.pattern_runs import Wired, read_wired
from search_spaces.cell_graph import OPERATIONS

#: Variant -> what it changes.
VARIANTS: dict[str, dict[str, Any]] = {
    "base (DSNAS, single-level)": {},
    "weights frozen": {"train_weights": False},
    "uniform sampling, alpha frozen": uniform_options(),
    "batch norm affine": {"affine": True},
    "head of NAS-Bench-201": {"head": "nasbench201"},
    "alpha init N(0, 1e-3)": {"alpha_init_mean": 0.0, "alpha_init": 1e-3},
    "without none": {"operations": {"*": list(OPERATIONS[1:])}},
    "without skip_connect": {"operations": {"*": [o for o in OPERATIONS if o != "skip_connect"]}},
}


def measure(run: StudyRun) -> Findings:
    """One search a variant and seed."""
    found: dict[str, list[tuple[Wired, list[float]]]] = {}
    for number, (variant, changes) in enumerate(VARIANTS.items()):
        for seed in run.seeds:
            folder = run.search(f"variant{number}-s{seed}", **changes, seed=seed)
            found.setdefault(variant, []).append((read_wired(folder), _costs(folder)))
    counts = {
        variant: np.mean([wired.counts for wired, _ in runs], axis=0).tolist()
        for variant, runs in found.items()
    }
    return Findings([_table(found)], [_frozen(found)], {"counts": counts})


def _costs(folder: RunFolder) -> list[float]:
    """Per epoch the mean cost of all operations but none."""
    means = []
    for record in folder.epochs():
        table = record["cost"]["weights"]["mean"]
        values = [x for row in table.values() for op, x in row.items() if op != "none"]
        means.append(float(np.mean([x for x in values if x is not None])))
    return means


def _table(found: dict[str, list[tuple[Wired, list[float]]]]) -> Table:
    rows: list[list[Any]] = []
    for variant, runs in found.items():
        for seed, (wired, costs) in enumerate(runs, start=1):
            p = wired.patterns
            rows.append(
                [variant, seed, min(wired.counts), wired.counts[-1], p.growing_index]
                + [costs[0], costs[-1], wired.accuracy]
            )
    columns = ["variant", "seed", "min G", "G(T)", "P1 index"]
    return Table(
        "one knob changed at a time; cost: mean over edges and operations but none",
        [*columns, "cost, first epoch", "cost, last epoch", "true accuracy %"],
        rows,
    )


def _frozen(found: dict[str, list[tuple[Wired, list[float]]]]) -> Verdict:
    frozen = [costs[-1] for _, costs in found["weights frozen"]]
    trained = [costs[-1] for _, costs in found["base (DSNAS, single-level)"]]
    positive = all(cost > 0 for cost in frozen)
    below = all(t < f for t, f in zip(trained, frozen, strict=True))
    verdict: Holds = "holds" if positive and below else "does not hold"
    if positive != below:
        verdict = "holds in part"
    return Verdict(
        "what lets edges grow is the training of the weights: frozen, costs stay positive; "
        "trained, they fall",
        verdict,
        f"mean cost of the last epoch {np.mean(frozen):.4f} frozen, {np.mean(trained):.4f} trained",
    )


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """G(t) of every variant."""
    title = "Edges selected, G(t), one knob changed"
    return {"sensitivity": line_chart(numbers["counts"], title, "edges whose argmax is not none")}


STUDY = Study(
    name="sensitivity",
    title="the knobs of S1's code, one at a time",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 1},
    reduced={**GROWING.reduced, "strategy": "dsnas", "optimisation": "single_level"},
    paper={
        **GROWING.paper,
        "space": "nasbench201",
        "head": "bias_free",
        "strategy": "dsnas",
        "optimisation": "single_level",
        "seeds": 3,
    },
    measure=measure,
    draw=draw,
)
