"""P1 and P2: do edges first drop to none and grow back, the input edges first (S1)?"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict, graded
from nni_wiring.studies.pattern_runs import Wired, read_wired, recovery_text
from nni_wiring.studies.statistics import WalkNull, fallen, random_walk_null
from search_spaces.cell_graph import NB201
from search_spaces.registry import space_entry


def measure(run: StudyRun) -> Findings:
    """Single-level searches, strategies x seeds, against alphas that walk at random."""
    found: dict[str, list[Wired]] = {}
    for strategy in run["strategies"]:
        for seed in run.seeds:
            label = f"{strategy}-s{seed}"
            changes = {"strategy": strategy, "seed": seed, "optimisation": "single_level"}
            found.setdefault(strategy, []).append(read_wired(run.search(label, **changes)))
    entry, config = space_entry(run["space"]), run.config()
    null = None
    if len(entry.kinds) == 1:
        allowed = entry.operations(config.operations)
        null = random_walk_null(config.epochs, graph=entry.graph, allowed=allowed)
    everyone = [wired for runs in found.values() for wired in runs]
    return Findings(
        [_table(found, null)],
        [_growing(everyone, null), _width(everyone)],
        {"counts": {name: _mean_counts(runs) for name, runs in found.items()}},
    )


def _mean_counts(runs: list[Wired]) -> list[float]:
    return np.mean([wired.counts for wired in runs], axis=0).tolist()


def _table(found: dict[str, list[Wired]], null: WalkNull | None) -> Table:
    rows: list[list[Any]] = []
    for strategy, runs in found.items():
        for seed, wired in enumerate(runs, start=1):
            p = wired.patterns
            rows.append(
                [
                    strategy,
                    seed,
                    wired.counts[0],
                    min(wired.counts),
                    wired.counts[-1],
                    p.growing_index,
                    p.width_preference,
                    recovery_text(p),
                    wired.accuracy,
                ]
            )
    if null is not None:
        rows.append(
            [
                "random walk",
                "null",
                *[None] * 2,
                null.selected_edges,
                null.growing_index,
                *[None] * 3,
            ]
        )
    columns = ["strategy", "seed", "G(0)", "min G", "G(T)", "P1 index", "P2 index"]
    return Table(
        "searched edges whose largest alpha is not none, single-level search",
        [*columns, "recovery epochs", "true accuracy %"],
        rows,
    )


def _growing(runs: list[Wired], null: WalkNull | None) -> Verdict:
    """P1 asks for a fall to none (or nearly) and for a return."""
    fell = [min(w.counts) <= fallen(w.searched) for w in runs]
    shown = sum(f and w.counts[-1] > min(w.counts) for f, w in zip(fell, runs, strict=True))
    verdict: Holds = "holds in part" if any(fell) else "does not hold"
    if shown / len(runs) >= 0.9:
        verdict = "holds"
    against = "" if null is None else f"; of random walks {100 * null.share_growing:.0f} % do"
    return Verdict(
        "growing (P1): all edges drop to none first, then the best are added again",
        verdict,
        f"{sum(fell)} of {len(runs)} runs fell to none (of six edges, to one), {shown} fell and "
        f"grew back{against}",
    )


def _width(runs: list[Wired]) -> Verdict:
    """P2, also where an edge never came back: then the others came before it."""
    firsts = [_input_edges_first(w) for w in runs]
    known = [first for first in firsts if first is not None]
    verdict = graded(sum(known) / len(known)) if known else "cannot be said"
    return Verdict(
        "width preference (P2): input edges recover before, or without, the intermediate edge",
        verdict,
        f"{sum(known)} of the {len(known)} runs in which the two kinds of edge can be told apart",
    )


def _input_edges_first(wired: Wired) -> bool | None:
    """None where neither kind recovered first, or no edge ever left none."""
    recovery = wired.patterns.recovery_epochs
    graph = NB201 if set(recovery) == set(NB201.edge_names) else None
    if graph is None:
        return (
            None if wired.patterns.width_preference is None else wired.patterns.width_preference > 0
        )
    late = float("inf")
    inputs = [recovery[e] for e in graph.edge_names if graph.role(e) == "input"]
    inner = [recovery[e] for e in graph.edge_names if graph.role(e) == "intermediate"]
    first = min(late if epoch is None else epoch for epoch in inputs)
    second = min(late if epoch is None else epoch for epoch in inner)
    return None if first == second else first < second


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """G(t) of every strategy, mean over seeds."""
    title = "Edges selected, G(t): single-level search, mean over seeds"
    return {"growing": line_chart(numbers["counts"], title, "edges whose argmax is not none")}


STUDY = Study(
    name="growing",
    title="the growing pattern and the width preference, single-level",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 2, "strategies": ["dsnas", "snas", "darts"]},
    reduced={
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
        "seeds": 5,
        "epochs": 150,
        "batch_size": 96,
        "weight_decay": 3e-4,
        "alpha_init_mean": 1.0,
        "alpha_init": 0.01,
        "alpha_clip": 10.0,
        "split": "full+xvalid",
    },
    measure=measure,
    draw=draw,
)
