"""P1 and P2: do edges first drop to none and grow back, the input edges first (S1)?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import ROWS, by_method, read_rows
from nni_wiring.studies.pattern_runs import (
    Wired,
    inner_edge_last,
    read_wired,
    recovery_text,
    searched_wiring,
    width_margin,
)
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    FlipRule,
    ShareRule,
    Verdict,
    WalkNull,
    fallen,
    holm,
    interval,
    paired_flip,
    random_walk_null,
)
from search_spaces.cell_graph import CellGraph
from search_spaces.registry import space_entry

_WALK = "the share of random walks of alpha that do the same"

#: P1 is two claims: an edge that fell need not come back (S1's figures show both).
FALLS = ShareRule(
    claim="growing, first half (P1): all edges drop to none",
    null=_WALK,
    minimum=0.25,
    unit="of the runs",
    family=3,
    least=5,
)
RETURNS = ShareRule(
    claim="growing (P1): edges drop to none, and some are added again",
    null=_WALK,
    minimum=0.25,
    unit="of the runs",
    family=3,
    least=5,
)
#: Found on six seeds of DSNAS (0.94 +- 0.47; 600 steps at alpha_lr 0.01), so that other seeds have
#: to confirm it. The least size is a third of what they showed.
WIDTH = FlipRule(
    claim="width preference (P2): the intermediate edge ends further from being selected than the "
    "input edges",
    null="edges are exchangeable: the difference of none margins is symmetric about 0",
    minimum=0.35,
    unit="(alpha)",
    spread=0.47,
    family=3,
    least=6,
)


def measure(run: StudyRun) -> Findings:
    """Single-level searches, strategies x seeds, against alphas that walk at random."""
    found = _kept(run) if run[ROWS] else _searched(run)
    epochs = len(next(iter(found.values()))[0].counts)
    entry, config = space_entry(run["space"]), run.config()
    allowed = entry.operations(config.operations)
    null = random_walk_null(epochs, graph=entry.graph, allowed=allowed)
    return Findings(
        [_table(found, null), _margins(found, null, entry.graph)],
        [*_growing(found, null), *_width(found, null, entry.graph)],
        {"counts": {name: _mean_counts(runs) for name, runs in found.items()}},
        [row for name, runs in found.items() for row in _rows(name, runs, entry.graph)],
    )


def _searched(run: StudyRun) -> dict[str, list[Wired]]:
    found: dict[str, list[Wired]] = {}
    for strategy in run["strategies"]:
        for seed in run.seeds:
            changes = {"strategy": strategy, "seed": seed, "optimisation": "single_level"}
            label = f"{strategy}-s{seed}"
            wired = searched_wiring(run, label, partial(run.search, label, **changes))
            found.setdefault(strategy, []).append(wired)
    return found


def _kept(run: StudyRun) -> dict[str, list[Wired]]:
    """Finished searches of the study's space, by method, as long as the first one."""
    searches = read_rows(run, lambda kept: kept.config.get("space") == run["space"])
    epochs = len(searches[0].records)
    equal = [kept for kept in searches if len(kept.records) == epochs]
    return {name: list(map(read_wired, runs)) for name, runs in by_method(equal).items()}


def _rows(strategy: str, runs: list[Wired], graph: CellGraph) -> list[Row]:
    return [
        {
            "strategy": strategy,
            "seed": wired.seed,
            "counts": wired.counts,
            "fell": fell(wired),
            "grew_back": grew_back(wired),
            "margins": wired.margins,
            "width_margin": width_margin(wired.margins, graph),
            "arch": wired.arch,
            "accuracy": wired.accuracy,
        }
        for wired in runs
    ]


def _mean_counts(runs: list[Wired]) -> list[float]:
    return np.mean([wired.counts for wired in runs], axis=0).tolist()


def _table(found: dict[str, list[Wired]], null: WalkNull) -> Table:
    rows: list[list[Any]] = [
        [
            strategy,
            wired.seed,
            wired.counts[0],
            min(wired.counts),
            wired.counts[-1],
            wired.patterns.growing_index,
            recovery_text(wired.patterns),
            wired.accuracy,
        ]
        for strategy, runs in found.items()
        for wired in runs
    ]
    walk = ["random walk", "null", None, None, null.selected_edges, null.growing_index, None, None]
    columns = ["strategy", "seed", "G(0)", "min G", "G(T)", "P1 index"]
    return Table(
        "searched edges whose largest alpha is not none",
        [*columns, "recovery epochs", "true accuracy %"],
        [*rows, walk],
    )


def _margins(found: dict[str, list[Wired]], null: WalkNull, graph: CellGraph) -> Table:
    """P2's margins: means over seeds, interval and p over seeds, and the walk's share."""
    edges = list(dict.fromkeys(e for runs in found.values() for w in runs for e in w.margins))
    values = {
        name: [width_margin(wired.margins, graph) for wired in runs] for name, runs in found.items()
    }
    raw = [paired_flip(row, "greater") for row in values.values()]
    rows: list[list[Any]] = []
    for (name, runs), p, adjusted in zip(found.items(), raw, holm(raw), strict=True):
        whole = interval(values[name])
        last = [inner_edge_last(wired.margins, graph) for wired in runs]
        means = [float(np.mean([w.margins[e] for w in runs if e in w.margins])) for e in edges]
        share = f"{sum(map(bool, last))} of {sum(x is not None for x in last)}"
        rows.append(
            [name, *means, whole.mean, whole.low, whole.high, whole.values, p, adjusted, share]
        )
    blank = [None] * (len(edges) + 6)
    rows.append(["random walk", *blank, f"{null.inner_largest:.2f}"])
    return Table(
        "alpha of none minus the largest other alpha at the end, mean over seeds; T: intermediate "
        "minus input edges, 95 % interval over seeds, one-sided sign-flip p, raw and by Holm",
        [
            *("strategy", *edges, "T", "low", "high", "seeds", "p", "p (Holm)"),
            "intermediate last",
        ],
        rows,
    )


def fell(wired: Wired) -> bool:
    """True where all searched edges (of six: all but one) were none at some epoch."""
    return min(wired.counts) <= fallen(wired.searched)


def grew_back(wired: Wired) -> bool:
    """True where a run fell and ended with more edges than at its lowest."""
    return fell(wired) and wired.counts[-1] > min(wired.counts)


def _growing(found: dict[str, list[Wired]], null: WalkNull) -> list[Verdict]:
    falls = {name: (sum(map(fell, runs)), len(runs)) for name, runs in found.items()}
    both = {name: (sum(map(grew_back, runs)), len(runs)) for name, runs in found.items()}
    note = f"of the walks that fall, {100 * null.share_returning:.0f} % come back"
    return [
        *FALLS.judge_all(falls, null.share_falling),
        *RETURNS.judge_all(both, null.share_growing, note),
    ]


def _width(found: dict[str, list[Wired]], null: WalkNull, graph: CellGraph) -> list[Verdict]:
    values = {
        name: [width_margin(wired.margins, graph) for wired in runs] for name, runs in found.items()
    }
    note = (
        f"in {100 * null.inner_largest:.0f} % of random walks an intermediate edge is the last; a "
        "preference is not told apart from an edge that is cut off (study width-cost)"
    )
    return WIDTH.judge_all(values, note)


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """G(t) of every strategy, mean over seeds."""
    title = "Edges selected, G(t): single-level search, mean over seeds"
    return {"growing": line_chart(numbers["counts"], title, "edges whose argmax is not none")}


STUDY = Study(
    name="growing",
    title="the growing pattern and the width preference, single-level",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={ROWS: [], "seeds": 8, "strategies": ["dsnas", "snas", "darts"]},
    small={
        "space": "nasbench201",
        "head": "bias_free",
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
        "space": "minimal",
        "seeds": 8,
        "epochs": 150,
        "batch_size": 96,
        "weight_decay": 3e-4,
        "alpha_init_mean": 1.0,
        "alpha_init": 0.01,
        "alpha_clip": 10.0,
        "split": "full+xvalid",
    },
    measure=measure,
    plot=plot,
    rules=(FALLS, RETURNS, WIDTH),
    spaces=Spaces(one_kind=True, some_edge=("none",)),
    sized=True,
    reference={"epochs": 100},
)
