"""Do a controller's hidden states know the graphs of the cells it reads? (S4)"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.strategies.parts.controller import Controller
from nni_wiring.studies.cell_distances import DISTANCES, Array, Cells
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.controllers import (
    EDGES,
    ENAS,
    Recipe,
    last_states,
    own_cells,
    policy,
    state_distance,
    train,
    uniform_cells,
    untrained,
    within_minus_between,
)
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.policies import Floats, tempered
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import EquivalenceRule, interval, spearman
from nni_wiring.studies.truths import table_mark, truth_of
from search_spaces.cell_graph import OPERATIONS

UNMOVED = EquivalenceRule(
    claim="training leaves the correlation of hidden states with graph similarity as it was",
    null="trained minus untrained is beyond .05 in either direction",
    minimum=0.05,
    unit="of Spearman's rho",
    spread=0.03,
)
ALIKE = EquivalenceRule(
    claim="cells that go on from one hidden state are no more alike than others",
    null="within minus between is at least a tenth of that of the best policy of entropy 6.26",
    minimum=0.1,
    unit="of the best policy's difference",
    spread=0.05,
)
#: Temperature of the best policy whose entropy is that of trained controllers (6.26 nats).
_BEST_TEMPERATURE = 0.297
ARMS = ("untrained", "trained", "N(0, 1) weights")


def distances(cells: Cells, values: Floats) -> dict[str, Array]:
    """All graph distances, and that of true accuracy, by name."""
    found = {name: distance(cells) for name, distance in DISTANCES.items()}
    accuracy = values[tuple(cells.T)]
    return {**found, "accuracy": np.abs(accuracy[:, None] - accuracy[None])}


def correlations(states: Array, graph: dict[str, Array], metric: str) -> dict[str, float]:
    """Spearman over pairs of cells, hidden distance against every graph distance."""
    hidden, upper = state_distance(states, metric), np.triu_indices(len(states), 1)
    return {name: spearman(hidden[upper], values[upper]) for name, values in graph.items()}


def normal_weights(seed: int) -> Controller:
    """A controller that was never trained and has weights of N(0, 1)."""
    controller = untrained(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.normal_(generator=generator)
    return controller


def arms(values: Floats, seed: int, recipe: Recipe) -> dict[str, Controller]:
    """The controllers of a seed that are compared."""
    *_, trained = train(values, seed, recipe)
    return dict(zip(ARMS, (untrained(seed), trained, normal_weights(seed)), strict=True))


def rows_of(values: Floats, seed: int, recipe: Recipe, cells: int) -> list[Row]:
    """Of one seed: correlations by arm, cells and hidden distance; within minus between."""
    uniform = uniform_cells(cells)
    shared = distances(uniform, values)
    rows: list[Row] = []
    for arm, controller in arms(values, seed, recipe).items():
        p = policy(controller)
        own = own_cells(p, cells, seed)
        sets = {"uniform": (uniform, shared), "own": (own, distances(own, values))}
        for kind, (chosen, graph) in sets.items():
            states = last_states(controller, chosen)
            for metric in ("euclidean", "cosine"):
                found = correlations(states, graph, metric)
                rows.append({"seed": seed, "arm": arm, "cells": kind, "hidden": metric, **found})
        alike = {str(t): within_minus_between(p, t) for t in range(1, EDGES)}
        rows.append({"seed": seed, "arm": arm, "alike": alike})
    return rows


def baselines(values: Floats, cells: int) -> dict[str, dict[str, float]]:
    """Inputs alone, in the place of hidden states: one-hot operations, and the last operation."""
    chosen = uniform_cells(cells)
    graph = distances(chosen, values)
    onehot = np.eye(len(OPERATIONS))[chosen].reshape(cells, -1)
    with torch.no_grad():
        table = untrained(1).embedding.weight.double().numpy()
    return {
        "one-hot operations": correlations(onehot, graph, "euclidean"),
        "last operation": correlations(table[chosen[:, -1]], graph, "euclidean"),
    }


def _of(rows: list[Row], arm: str, kind: str, name: str, hidden: str = "euclidean") -> list[float]:
    keys = {"arm": arm, "cells": kind, "hidden": hidden}
    return [row[name] for row in rows if keys.items() <= row.items()]


def _alike(rows: list[Row], arm: str, edges: int) -> list[float]:
    return [row["alike"][str(edges)] for row in rows if row["arm"] == arm and "alike" in row]


def _table(
    rows: list[Row], kind: str, names: list[str], shown: dict[str, dict[str, float]]
) -> Table:
    lines: list[list[Any]] = []
    for hidden in ("euclidean", "cosine"):
        for arm in ARMS:
            means = [float(np.mean(_of(rows, arm, kind, name, hidden))) for name in names]
            lines.append([arm, hidden, *means])
    lines += [[name, "euclidean", *(of[n] for n in names)] for name, of in shown.items()]
    title = f"Spearman of hidden distance with graph distance, {kind} cells, means over seeds"
    return Table(title, ["controller", "hidden distance", *names], lines)


def measure(run: StudyRun) -> Findings:
    """Verdicts are on uniform cells: own ones differ from controller to controller."""
    values = truth_of(run).cube()
    recipe, asked = Recipe(run["steps"], run["learning_rate"]), partial(table_mark, run)
    rows: list[Row] = []
    for seed in run.seeds:
        measured = partial(rows_of, values, seed, recipe, run["sample"])
        rows += run.part(f"seed-{seed}", measured, asked)
    names = [*DISTANCES, "accuracy"]
    shown = run.part("baselines", partial(baselines, values, run["sample"]), asked)
    best = best_differences(values)
    gains = {
        f"{name}, {kind} cells": np.subtract(
            _of(rows, "trained", kind, name), _of(rows, "untrained", kind, name)
        )
        for kind in ("uniform", "own")
        for name in names
    }
    shared = {name: row for name, row in gains.items() if name.endswith("uniform cells")}
    shares = {
        f"after {t} edges": np.divide(_alike(rows, "trained", t), best[t]) for t in range(1, EDGES)
    }
    return Findings(
        tables=[
            _table(rows, "uniform", names, shown),
            _table(rows, "own", names, {}),
            _gain_table(gains),
            _alike_table(rows, best),
        ],
        verdicts=[*UNMOVED.judge_all(shared), *ALIKE.judge_all(shares)],
        numbers={"gains": _bars(rows, names)},
        rows=rows,
    )


def best_differences(values: Floats) -> dict[int, float]:
    """Within minus between of the best policy of a trained controller's entropy, by prefix."""
    weights = np.exp((values - values.max()) / _BEST_TEMPERATURE)
    assert tempered(values, _BEST_TEMPERATURE).entropy > 0
    return {t: within_minus_between(weights / weights.sum(), t) for t in range(1, EDGES)}


def _gain_table(gains: dict[str, Any]) -> Table:
    lines = [[name, *interval(row)[:3]] for name, row in gains.items()]
    return Table("rho trained minus untrained", ["distance", "mean", "low", "high"], lines)


def _alike_table(rows: list[Row], best: dict[int, float]) -> Table:
    lines = [
        [t, *(float(np.mean(_alike(rows, arm, t))) for arm in ARMS), best[t]]
        for t in range(1, EDGES)
    ]
    title = "Hamming distance of two continuations: from one hidden state minus from different ones"
    return Table(title, ["edges read", *ARMS, "best policy"], lines)


def _bars(rows: list[Row], names: list[str]) -> dict[str, dict[str, list[float]]]:
    return {
        kind: {
            f"{arm}, {name}": list(interval(_of(rows, arm, kind, name))[:3])
            for name in ("Hamming", "Hamming, live edges", "Weisfeiler-Lehman")
            for arm in ARMS[:2]
        }
        for kind in ("uniform", "own")
    }


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Correlations of untrained and trained controllers with the structural distances."""
    title = "Hidden states against graph distances, before and after training"
    panels = {
        cells: {_in_short(name): bar for name, bar in bars.items()}
        for cells, bars in numbers["gains"].items()
    }
    return {"controller_states": operation_bars(panels, title, "Spearman's rho")}


def _in_short(name: str) -> str:
    """A bar's name as short as a legend takes it."""
    return name.replace("Hamming, live edges", "live Hamming").replace("Weisfeiler-Lehman", "WL")


STUDY = Study(
    name="controller-states",
    title="hidden states of ENAS' controller against graph distances",
    source="after Adam and Lorraine, arXiv 1904.00438",
    own={"seeds": 10, "steps": 1000, "learning_rate": ENAS.alpha_lr, "sample": 300},
    small={},
    paper={"steps": 2000},
    measure=measure,
    plot=plot,
    rules=(UNMOVED, ALIKE),
    spaces=Spaces(names=("nasbench201",)),
)
