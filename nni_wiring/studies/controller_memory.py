"""Does a memory buffer teach a controller's hidden states the graphs, and does it pay? (S4)"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from nni_wiring.strategies.parts.controller import Controller
from nni_wiring.studies.cell_distances import DISTANCES, STRUCTURAL
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.controller_states import correlations, distances
from nni_wiring.studies.controllers import (
    EDGES,
    ENAS,
    Recipe,
    last_states,
    own_cells,
    policy,
    shape_of,
    train,
    uniform_cells,
)
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.policies import Floats
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import FlipRule, interval
from nni_wiring.studies.truths import table_mark, truth_of

_LEAST = "the difference to the same seed's controller without a memory is symmetric about 0"
#: The spread is what ten seeds showed; .1 was presumed before, with which no verdict could hold.
RAISES = FlipRule(
    claim="a memory raises the correlation of hidden states with graph similarity",
    null=_LEAST,
    minimum=0.05,
    unit="of Spearman's rho",
    spread=0.03,
    family=12,
)
PAYS = FlipRule(
    claim="a memory makes the policy expect better cells",
    null=_LEAST,
    minimum=0.1,
    unit="points of E[valid]",
    spread=0.1,
    family=4,
)
#: Cells on which the probe is fitted, and others on which it is judged.
_PROBE = (600, 400)


def probe_accuracy(controller: Controller) -> float:
    """Percent of a cell's operations that a logistic probe reads off the last hidden state.

    Fitted and judged on different uniform cells, the same for all controllers, with or without a
    memory; chance is 20.
    """
    cells = uniform_cells(sum(_PROBE), seed=1)
    states = last_states(controller, cells)
    states = (states - states.mean(axis=0)) / (states.std(axis=0) + 1e-12)
    fit, judge = slice(0, _PROBE[0]), slice(_PROBE[0], None)
    hits = [
        LogisticRegression(max_iter=300)
        .fit(states[fit], cells[fit, edge])
        .score(states[judge], cells[judge, edge])
        for edge in range(EDGES)
    ]
    return 100 * float(np.mean(hits))


def row_of(values: Floats, seed: int, recipe: Recipe, cells: int) -> Row:
    """All measures of one trained controller."""
    *_, controller = train(values, seed, recipe)
    p = policy(controller)
    row: Row = {
        "seed": seed,
        "weight": recipe.memory_weight,
        "size": recipe.memory_size,
        "learning_rate": recipe.learning_rate,
        "probe": probe_accuracy(controller),
        **shape_of(p, values),
    }
    for kind, chosen in (("uniform", uniform_cells(cells)), ("own", own_cells(p, cells, seed))):
        states = last_states(controller, chosen)
        found = correlations(states, distances(chosen, values), "euclidean")
        row |= {f"{name}, {kind}": rho for name, rho in found.items()}
    return row


def arms(run: StudyRun) -> dict[str, Recipe]:
    """The recipes by label; ENAS without a memory first."""
    plain = Recipe(run["steps"], run["learning_rate"])
    return {"no memory": plain} | {
        f"weight {weight:g}, {size} cells": plain._replace(
            memory_weight=float(weight), memory_size=int(size)
        )
        for weight in run["weights"]
        for size in run["sizes"]
    }


def gains(found: dict[str, list[Row]], names: list[str]) -> dict[str, np.ndarray]:
    """With a memory minus without, seed by seed, by arm and measure."""
    [(_, plain), *others] = found.items()
    return {
        f"{label}: {name}": np.subtract([r[name] for r in rows], [r[name] for r in plain])
        for label, rows in others
        for name in names
    }


def measure(run: StudyRun) -> Findings:
    """Controllers rewarded by the table; no network."""
    values = truth_of(run).cube()
    found = {
        label: [
            run.part(
                f"{label.replace(' ', '-').replace(',', '')}-s{seed}",
                partial(row_of, values, seed, recipe, run["sample"]),
                partial(table_mark, run),
            )
            for seed in run.seeds
        ]
        for label, recipe in arms(run).items()
    }
    structural = [f"{name}, {kind}" for name in STRUCTURAL for kind in ("uniform", "own")]
    names = ["expectation", "entropy", "correlation", "probe"]
    figures = [
        f"{name}, {kind}" for kind in ("uniform", "own") for name in [*DISTANCES, "accuracy"]
    ]
    titles = ["E[valid], %", "H, nats", "TC, nats", "probe, %"]
    return Findings(
        tables=[
            _means("policies, means over seeds", found, names, titles),
            _means("Spearman of hidden distance with graph distance", found, figures, figures),
            _gain_table(gains(found, [*names, *structural])),
        ],
        verdicts=[
            *RAISES.judge_all(gains(found, structural)),
            *PAYS.judge_all(gains(found, ["expectation"])),
        ],
        numbers={"bars": _bars(found, structural)},
        rows=[{"arm": label, **row} for label, rows in found.items() for row in rows],
    )


def _means(title: str, found: dict[str, list[Row]], names: list[str], titles: list[str]) -> Table:
    lines = [
        [label, *(float(np.mean([row[name] for row in rows])) for name in names)]
        for label, rows in found.items()
    ]
    return Table(title, ["controller", *titles], lines)


def _gain_table(differences: dict[str, np.ndarray]) -> Table:
    lines = [[name, *interval(row)[:3]] for name, row in differences.items()]
    return Table("with a memory minus without", ["arm: measure", "mean", "low", "high"], lines)


def _bars(found: dict[str, list[Row]], names: list[str]) -> dict[str, dict[str, list[float]]]:
    return {
        name: {
            label: list(interval([row[name] for row in rows])[:3]) for label, rows in found.items()
        }
        for name in names
    }


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Correlations by arm, one panel a distance and set of cells."""
    title = "Hidden states against graph distances, with and without a memory"
    return {"controller_memory": operation_bars(numbers["bars"], title, "Spearman's rho")}


STUDY = Study(
    name="controller-memory",
    title="a memory buffer for ENAS' controller: hidden states, policy, accuracy",
    source="after Adam and Lorraine, arXiv 1904.00438",
    own={
        "seeds": 10,
        "steps": 1000,
        "learning_rate": ENAS.alpha_lr,
        "sample": 300,
        "weights": [0.1, 1.0],
        "sizes": [500],
    },
    small={},
    paper={"steps": 2000, "sizes": [100, 500]},
    measure=measure,
    plot=plot,
    rules=(RAISES, PAYS),
    spaces=Spaces(names=("nasbench201",)),
)
