"""Does the local cost of an untrained supernet rank cells, beside zero-cost proxies (ours)?

A cell's score is minus the sum of its operations' costs. Parameters, conv depth and skips are its
baselines; NASWOT and SynFlow see the cell alone, with the weights that the same supernet has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import RunError
from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.cost_at_initialisation import STUDY as AT_INITIALISATION
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.operation_costs import mean_costs, uniform_options
from nni_wiring.studies.probes import untouched
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import interval, partial_spearman, spearman
from nni_wiring.studies.truths import truth_of
from nni_wiring.studies.zero_cost import naswot, synflow, without_norms
from nni_wiring.supernet.evaluation import fixed_draw, one_hot
from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.topology import topology

Array = np.ndarray

#: By score and seed, a number per cell; None: it has no seed.
Scores = dict[str, dict[int | None, Array]]

#: The supernets whose costs are taken.
_VARIANTS = ("cost", "cost, affine", "cost, no batch norm")
_PROXIES = ("NASWOT", "SynFlow")
_REAL = [k for k, name in enumerate(OPERATIONS) if name != "none"]
_CELLS_SEED = 20260  # the cells that proxies score are the same for all initialisations


def measure(run: StudyRun) -> Findings:
    """Rank correlations with the truth, initialisation by initialisation."""
    judge = truth_of(run)
    table = judge.table
    drawn = drawn_cells(table, run["drawn"])
    found = {s: run.part(f"scores-s{s}", partial(_scores, run, s, table, drawn)) for s in run.seeds}
    truth = judge.values().astype(float)
    costs = {name: {s: np.array(found[s][name]) for s in run.seeds} for name in _VARIANTS}
    scores: Scores = {
        name: {s: additive(one, table.operations) for s, one in own.items()}
        for name, own in costs.items()
    }
    figures: Scores = {name: {None: values} for name, values in baselines(table).items()}
    proxies: Scores = {
        name: {s: np.array(found[s][name], float) for s in run.seeds} for name in _PROXIES
    }
    some = {**_at(scores, drawn), **proxies, **_at(figures, drawn)}
    rows = _rows(f"all {len(table):,} cells", {**scores, **figures}, truth)
    rows += _rows(f"{len(drawn):,} drawn cells, connected", some, truth[drawn])
    names = {
        name: renaming_p(np.mean([*own.values()], axis=0), table, truth)
        for name, own in costs.items()
    }
    kinds = dict.fromkeys(row["cells"] for row in rows)
    tables = [_table(rows, judge.title, cells, names) for cells in kinds]
    return Findings(tables, [], {"lines": _lines(rows)}, rows)


def drawn_cells(table: TruthTable, count: int) -> Array:
    """Places of connected cells in the table, drawn without repetition, rising; all if fewer."""
    live = np.flatnonzero(topology(table.operations).connected)
    chosen = np.random.default_rng(_CELLS_SEED).permutation(live)[:count]
    return np.sort(chosen)


def additive(costs: Array, cells: Array) -> Array:
    """(cells,) minus the sum of the costs of a cell's operations.

    Args:
        costs: (edges, operations).
        cells: (cells, edges), places of operations.
    """
    return -costs[np.arange(costs.shape[0]), cells].sum(axis=1)


def renaming_p(costs: Array, table: TruthTable, truth: Array) -> float:
    """Share of the 24 orders of the real operations' names under which the costs rank cells as well
    as under their own, which is one of them. All initialisations share what the operations are, so
    agreement over seeds cannot tell an order that fits from one that fits by luck; this can.

    Args:
        costs: (edges, operations).
        truth: (cells,).
    """
    rho = []
    for order in permutations(_REAL):
        renamed = costs.copy()
        renamed[:, _REAL] = costs[:, order]
        rho.append(spearman(additive(renamed, table.operations), truth))
    return float(np.mean(np.array(rho) >= rho[0] - 1e-12))


def _scores(run: StudyRun, seed: int, table: TruthTable, drawn: Array) -> dict[str, Any]:
    """Costs (edges, operations) of every variant, and the proxies of the drawn cells."""
    config = partial(run.config, **uniform_options(), seed=seed)
    plain, affine = open_search(config()), open_search(config(affine=True))
    with without_norms(plain.module.model):
        bare = _costs(plain, run["batches"])
    costs = (_costs(plain, run["batches"]), _costs(affine, run["batches"]), bare)
    pairs = [cell_proxies(plain, table.operations[place], run["images"]) for place in drawn]
    return {
        **{name: own.tolist() for name, own in zip(_VARIANTS, costs, strict=True)},
        **{name: [pair[k] for pair in pairs] for k, name in enumerate(_PROXIES)},
    }


def _costs(found: OpenSearch, batches: int) -> Array:
    """Mean over the first batches and cells, (edges, operations); RunError where an operation never
    ran.
    """
    found.loaders.train.set_epoch(0)
    means = mean_costs(found, batches)
    costs = np.array([[means[edge, name] for name in OPERATIONS] for edge in NB201.edge_names])
    if np.isnan(costs).any():
        raise RunError(f"an operation was never drawn in {batches} batches; more are needed")
    return costs


def cell_proxies(found: OpenSearch, cell: Sequence[int], images: int) -> tuple[float, float]:
    """NASWOT on the first ``images`` images without augmentation, and SynFlow, of one cell with the
    supernet's own weights. cell: places of operations, (edges,).
    """
    group, model = found.strategy.groups[0], found.module.model
    columns = [group.operations.index(OPERATIONS[place]) for place in cell]
    batch = next(iter(found.loaders.evaluation))[0][:images]
    with untouched(found.module):
        group.draw = fixed_draw(group, one_hot(group, columns))
        score = naswot(model, batch)
        flow = synflow(model, list(found.module.weight_parameters()), batch[0])
    return score, flow


def baselines(table: TruthTable) -> dict[str, Array]:
    """Figures of every cell that need no network, (cells,) each. A 3x3 convolution has nine times
    the weights of a 1x1 one, so ``parameters`` are in the order of NAS-Bench-201's at any width.
    """
    counts = {name: (table.operations == k).sum(axis=1) for k, name in enumerate(OPERATIONS)}
    return {
        "parameters": 9.0 * counts["nor_conv_3x3"] + counts["nor_conv_1x1"],
        "conv depth": topology(table.operations).conv_depth.astype(float),
        "skips": counts["skip_connect"].astype(float),
    }


def _at(scores: Scores, places: Array) -> Scores:
    return {name: {s: v[places] for s, v in own.items()} for name, own in scores.items()}


def _rows(cells: str, scores: Scores, truth: Array) -> list[Row]:
    """A row a score and seed. cells: which ones; scores: of them, parameters among them."""
    size = scores["parameters"][None]
    return [
        {
            "score": name,
            "cells": cells,
            "seed": seed,
            "rho": spearman(values, truth),
            "given parameters": partial_spearman(values, truth, size),
        }
        for name, own in scores.items()
        for seed, values in own.items()
    ]


def _table(rows: Sequence[Row], dataset: str, cells: str, names: Mapping[str, float]) -> Table:
    own = [row for row in rows if row["cells"] == cells]
    shown = []
    for score in dict.fromkeys(row["score"] for row in own):
        mine = [row for row in own if row["score"] == score]
        rho, given = (interval([row[name] for row in mine]) for name in ("rho", "given parameters"))
        fixed = mine[0]["seed"] is None
        ends = [None, None] if fixed else [rho.low, rho.high]
        given_ends = [None, None] if fixed else [given.low, given.high]
        count = None if fixed else rho.values
        shown.append([score, rho.mean, *ends, given.mean, *given_ends, count, names.get(score)])
    columns = ("score", "rho", "low", "high", "given parameters", "low", "high", "seeds")
    return Table(
        f"Spearman with the true accuracy, {dataset}, {cells}; mean and 95 % interval over "
        "initialisations; p over the 24 orders of the operations' names (all cells)",
        [*columns, "p (names)"],
        shown,
    )


def _lines(rows: Sequence[Row]) -> dict[str, list[float]]:
    """By score of the drawn cells: rho of every initialisation."""
    own = [row for row in rows if "drawn" in row["cells"] and row["seed"] is not None]
    names = dict.fromkeys(row["score"] for row in own)
    return {name: [row["rho"] for row in own if row["score"] == name] for name in names}


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Rank correlation by initialisation."""
    title = "Rank correlation with the truth, one point an initialisation"
    return {"cost_ranks": line_chart(numbers["lines"], title, "Spearman")}


STUDY = Study(
    name="cost-ranks",
    title="does the local cost at initialisation rank cells, beside zero-cost proxies?",
    source="this project; proxies: Mellor et al., ICML 2021; Tanaka et al., NeurIPS 2020",
    own={"seeds": 8, "batches": 60, "drawn": 200, "images": 64},
    small=AT_INITIALISATION.small,
    paper={"space": "nasbench201", "seeds": 20, "drawn": 2000},
    measure=measure,
    plot=plot,
    spaces=Spaces(names=("nasbench201",)),
)
