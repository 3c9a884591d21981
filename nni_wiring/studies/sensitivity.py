"""The knobs that S1's code has, one changed at a time."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.kept import KeptRun
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.growing import STUDY as GROWING
from nni_wiring.studies.operation_costs import uniform_options
from nni_wiring.studies.pattern_runs import Wired, epoch_costs, mean_cost, read_wired
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import FlipRule, Verdict, holm, interval, paired_flip
from search_spaces.cell_graph import NB201, OPERATIONS

_BASE = "base (DSNAS, single-level)"

#: Variant -> what it changes.
VARIANTS: dict[str, dict[str, Any]] = {
    _BASE: {},
    "weights frozen": {"train_weights": False},
    "uniform sampling, alpha frozen": uniform_options(),
    "batch norm affine": {"affine": True},
    "head of NAS-Bench-201": {"head": "nasbench201"},
    "alpha init N(0, 1e-3)": {"alpha_init_mean": 0.0, "alpha_init": 1e-3},
    # Adam's L2 pulls a large alpha of none down where nothing else moves it: no growing of its own
    "alpha without weight decay": {"alpha_weight_decay": 0.0},
    "without none": {"operations": {"*": list(OPERATIONS[1:])}},
    "without skip_connect": {"operations": {"*": [o for o in OPERATIONS if o != "skip_connect"]}},
}


POSITIVE = FlipRule(
    claim="with frozen weights costs stay positive (mean of the last epoch)",
    null="the mean cost of a seed is symmetric about 0",
    minimum=0.003,
    unit="(dL/dZ)",
    spread=0.004,
)
FALL = FlipRule(
    claim="the training of the weights lets costs fall below those of frozen weights",
    null="training makes no difference: frozen minus trained is symmetric about 0",
    minimum=0.003,
    unit="(dL/dZ)",
    spread=0.004,
)


class Variant(NamedTuple):
    """One search. costs: per epoch the mean cost of all operations but none."""

    wired: Wired
    costs: list[float]


Found = dict[str, list[Variant]]


def measure(run: StudyRun) -> Findings:
    """One search a variant and seed."""
    found: Found = {}
    for number, (variant, changes) in enumerate(VARIANTS.items()):
        for seed in run.seeds:
            label = f"variant{number}-s{seed}"
            part = run.part(label, partial(_read, run, label, {**changes, "seed": seed}))
            one = Variant(Wired.of(part["wired"]), part["costs"])
            found.setdefault(variant, []).append(one)
    counts = {
        variant: np.mean([one.wired.counts for one in runs], axis=0).tolist()
        for variant, runs in found.items()
    }
    return Findings([_table(found)], _verdicts(found), {"counts": counts}, _rows(found, run.seeds))


def _read(run: StudyRun, label: str, changes: dict[str, Any]) -> dict[str, Any]:
    folder = run.search(label, **changes)
    costs = [mean_cost(table) for table in epoch_costs(folder)]
    return {"wired": read_wired(KeptRun.of(folder)).plain(), "costs": costs}


def _rows(found: Found, seeds: list[int]) -> list[Row]:
    return [
        {
            "variant": variant,
            "seed": seed,
            "counts": one.wired.counts,
            "costs": one.costs,
            "accuracy": one.wired.accuracy,
        }
        for variant, runs in found.items()
        for seed, one in zip(seeds, runs, strict=True)
    ]


def _table(found: Found) -> Table:
    """Means over seeds; G(T) against the base by two-sided flips over seeds."""
    base = [one.wired.counts[-1] for one in found[_BASE]]
    change = {
        variant: [one.wired.counts[-1] - b for one, b in zip(runs, base, strict=True)]
        for variant, runs in found.items()
        if variant != _BASE
    }
    raw = {variant: paired_flip(row) for variant, row in change.items()}
    adjusted = dict(zip(raw, holm(list(raw.values())).tolist(), strict=True))
    rows: list[list[Any]] = []
    for variant, runs in found.items():
        lowest = [min(one.wired.counts) for one in runs]
        last = interval([one.wired.counts[-1] for one in runs])
        costs = [interval([one.costs[place] for one in runs]).mean for place in (0, -1)]
        accuracies = [one.wired.accuracy for one in runs if one.wired.accuracy is not None]
        accuracy = float(np.median(accuracies)) if accuracies else None
        rows.append(
            [variant, last.values, float(np.mean(lowest)), last.mean, last.low, last.high]
            + [raw.get(variant), adjusted.get(variant), *costs, accuracy]
        )
    columns = ["variant", "seeds", "min G", "G(T)", "low", "high", "p", "p (Holm)"]
    return Table(
        "one knob changed at a time, means over seeds; G(T) with its 95 % interval, and against "
        "the base by two-sided sign flips; cost: mean over edges and operations but none",
        [*columns, "cost, first epoch", "cost, last epoch", "true accuracy %, median"],
        rows,
    )


def _verdicts(found: Found) -> list[Verdict]:
    frozen = [one.costs[-1] for one in found["weights frozen"]]
    trained = [one.costs[-1] for one in found[_BASE]]
    return [
        POSITIVE.judge(frozen),
        FALL.judge([f - t for f, t in zip(frozen, trained, strict=True)]),
    ]


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """G(t) of every variant."""
    title = "Edges selected, G(t), one knob changed"
    return {"sensitivity": line_chart(numbers["counts"], title, "edges whose argmax is not none")}


STUDY = Study(
    name="sensitivity",
    title="the knobs of S1's code, one at a time",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 8},
    small={**GROWING.small, "strategy": "dsnas", "optimisation": "single_level"},
    paper={
        **GROWING.paper,
        "space": "nasbench201",
        "head": "bias_free",
        "strategy": "dsnas",
        "optimisation": "single_level",
        "seeds": 8,
    },
    measure=measure,
    plot=plot,
    rules=(POSITIVE, FALL),
    spaces=Spaces(graph=NB201, candidates=OPERATIONS),
    sized=True,
    reference={"epochs": 100},
)
