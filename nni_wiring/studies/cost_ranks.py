"""Does the local cost of an untrained supernet rank cells, beside zero-cost proxies (ours)?

A cell's score is minus the sum of its operations' costs. Parameters, conv depth and skips are its
baselines; NASWOT and SynFlow see the cell alone, with the weights that the same supernet has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.search.assemble import truth_for
from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.operation_costs import uniform_options
from nni_wiring.studies.probes import cost_samples, untouched
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import interval, partial_spearman, spearman
from nni_wiring.studies.zero_cost import naswot, synflow, without_norms
from nni_wiring.supernet.evaluation import fixed_draw, one_hot
from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.topology import topology

Array = np.ndarray

#: The supernets whose costs are taken, by name: options, and whether batch norm works.
_VARIANTS: Mapping[str, tuple[dict[str, Any], bool]] = {
    "cost": ({}, True),
    "cost, affine": ({"affine": True}, True),
    "cost, no batch norm": ({}, False),
}
_PROXIES = ("NASWOT", "SynFlow")
_REAL = [k for k, name in enumerate(OPERATIONS) if name != "none"]
_CELLS_SEED = 20260  # the cells that proxies score are the same for all initialisations


def measure(run: StudyRun) -> Findings:
    """Rank correlations with the truth, initialisation by initialisation."""
    table = truth_for(run.config())
    assert table is not None  # of NAS-Bench-201's cells there is the bundled one
    dataset = run.config().run.dataset or table.benchmark.dataset_names[0]
    if not table.has(dataset, "valid"):
        raise ConfigError(f"study {run.study.name}: table {table.name!r} lacks {dataset} valid")
    drawn = drawn_cells(table, run["drawn"])
    found = {s: run.part(f"scores-s{s}", partial(_scores, run, s, table, drawn)) for s in run.seeds}
    truth = table.values(dataset, "valid").astype(float)
    scores = {name: [_of_cells(found[s], name, table) for s in run.seeds] for name in _VARIANTS}
    rows = [*_cost_rows(run.seeds, scores, table, truth), *_baseline_rows(table, truth)]
    some = {name: [values[drawn] for values in own] for name, own in scores.items()}
    some |= {name: [np.array(found[s][name], float) for s in run.seeds] for name in _PROXIES}
    rows += _drawn_rows(run.seeds, some, table, truth, drawn)
    names = {name: renaming_p(_mean_costs(found, name), table, truth) for name in _VARIANTS}
    kinds = dict.fromkeys(row["cells"] for row in rows)
    tables = [_table(rows, dataset, cells, names) for cells in kinds]
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
    found: dict[str, Any] = {}
    for name, (options, norms) in _VARIANTS.items():
        opened = open_search(run.config(**uniform_options(), **options, seed=seed))
        found[name] = _costs(opened, run["batches"], norms=norms).tolist()
    opened = open_search(run.config(**uniform_options(), seed=seed))
    pairs = [cell_proxies(opened, table.operations[place], run["images"]) for place in drawn]
    return found | {name: [pair[k] for pair in pairs] for k, name in enumerate(_PROXIES)}


def _costs(found: OpenSearch, batches: int, *, norms: bool) -> Array:
    """Mean over batches and cells, (edges, operations); RunError where an operation never ran."""
    with nullcontext() if norms else without_norms(found.module.model):
        by_group = cost_samples(found.module, found.loaders.train, batches)
    group, costs = found.strategy.groups[0], np.full((len(NB201.edges), len(OPERATIONS)), np.nan)
    samples = by_group[group.name]
    for place, name in enumerate(group.operations):
        values = samples[..., place]
        ran = ~np.isnan(values)
        count = np.maximum(ran.sum(axis=(0, 1)), 1)
        mean = np.where(ran, values, 0).sum(axis=(0, 1)) / count
        costs[:, OPERATIONS.index(name)] = np.where(ran.any(axis=(0, 1)), mean, np.nan)
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


def _of_cells(scores: Mapping[str, Any], name: str, table: TruthTable) -> Array:
    return additive(np.array(scores[name]), table.operations)


def _mean_costs(found: Mapping[int, Mapping[str, Any]], name: str) -> Array:
    return np.mean([scores[name] for scores in found.values()], axis=0)


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


def _row(score: str, cells: str, seed: int | None, values: Array, truth: Array, size: Array) -> Row:
    return {
        "score": score,
        "cells": cells,
        "seed": seed,
        "rho": spearman(values, truth),
        "given parameters": partial_spearman(values, truth, size),
    }


def _cost_rows(
    seeds: Sequence[int], scores: Mapping[str, list[Array]], table: TruthTable, truth: Array
) -> list[Row]:
    size, cells = baselines(table)["parameters"], f"all {len(table):,} cells"
    return [
        _row(name, cells, seed, values, truth, size)
        for name, own in scores.items()
        for seed, values in zip(seeds, own, strict=True)
    ]


def _baseline_rows(table: TruthTable, truth: Array) -> list[Row]:
    found, cells = baselines(table), f"all {len(table):,} cells"
    size = found["parameters"]
    return [_row(name, cells, None, values, truth, size) for name, values in found.items()]


def _drawn_rows(
    seeds: Sequence[int],
    scores: Mapping[str, list[Array]],
    table: TruthTable,
    truth: Array,
    drawn: Array,
) -> list[Row]:
    found, cells = baselines(table), f"{len(drawn):,} drawn cells, connected"
    size, own = found["parameters"][drawn], truth[drawn]
    rows = [
        _row(name, cells, seed, values, own, size)
        for name, each in scores.items()
        for seed, values in zip(seeds, each, strict=True)
    ]
    return rows + [_row(name, cells, None, v[drawn], own, size) for name, v in found.items()]


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
        f"Spearman with true {dataset} validation accuracy, {cells}; mean and 95 % interval over "
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
    small={
        "space": "nasbench201",
        "head": "bias_free",
        "channels": 4,
        "cells": 1,
        "batch_size": 32,
    },
    paper={"space": "nasbench201", "seeds": 20, "drawn": 2000},
    measure=measure,
    plot=plot,
    spaces=Spaces(names=("nasbench201",)),
)
