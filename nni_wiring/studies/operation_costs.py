"""The local cost of every edge and operation of a supernet that stands still (S1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.search.reopen import OpenSearch
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.frame import Findings, StudyRun, Table
from nni_wiring.studies.probes import cost_samples, edge_labels
from nni_wiring.studies.statistics import FlipRule, Interval, holm, interval, paired_flip

#: Alpha equal everywhere and never moved: DSNAS then draws operations uniformly (S1's code).
UNIFORM = {"strategy": "dsnas", "alpha_init": 0.0, "alpha_init_mean": 0.0}
FROZEN_ALPHA = 1_000_000  # warm-up epochs that never end

_SIGNS = "a cost is as often positive as negative: share minus 1/2 is symmetric about 0"

#: The statistic is a share of signs, not a mean cost, which skip and pooling would decide alone.
POSITIVE = FlipRule(
    claim="at initialisation the cost of all operations but none tends to be positive",
    null=_SIGNS,
    minimum=0.15,
    unit="(share of positive means minus 1/2)",
    spread=0.12,
)
NEGATIVE = FlipRule(
    claim="after training the cost of all operations but none tends to be negative",
    null=_SIGNS,
    minimum=0.15,
    unit="(share of negative means minus 1/2)",
    spread=0.12,
)


def uniform_options() -> dict[str, Any]:
    """Options of a search that samples operations uniformly and leaves alpha as it is."""
    return {**UNIFORM, "warmup_epochs": FROZEN_ALPHA}


def measure_costs(run: StudyRun, supernet: Callable[[int], OpenSearch], rule: FlipRule) -> Findings:
    """Costs over batches of the supernets that ``supernet(seed)`` opens.

    rule: POSITIVE or NEGATIVE: what S1 says of all operations but none.
    """
    found = {
        seed: run.part(f"costs-s{seed}", _measuring(supernet, seed, run["batches"]))
        for seed in run.seeds
    }
    sign = 1 if rule is POSITIVE else -1
    means = {seed: _means(part) for seed, part in found.items()}
    entries = list(next(iter(means.values())))
    values = {
        entry: np.array([means[seed][entry] for seed in run.seeds], dtype=float)
        for entry in entries
        if entry[1] != "none"
    }
    table = np.array(list(values.values()))  # (entries, seeds)
    shares = claimed_share(table, sign) - 0.5
    seen = " ".join(f"{int((sign * column > 0).sum())}" for column in table.T)
    cells = {entry: interval(row) for entry, row in values.items()}
    overall = sum(sign * cell.mean > 0 for cell in cells.values())
    note = f"by seed {seen} of {len(values)} means, {overall} of the means over seeds"
    edges = next(iter(found.values()))["edges"]
    return Findings(
        [_table(values, run), _seeds(shares, table, run)],
        [rule.judge(shares, note)],
        {"bars": _panels(cells, edges), "space": run["space"]},
        [
            {"seed": seed, "edge": edge, "operation": name, "cost": cost}
            for seed in run.seeds
            for (edge, name), cost in means[seed].items()
        ],
    )


def claimed_share(table: np.ndarray, sign: int) -> np.ndarray:
    """Share of the entries of every column that have the claimed sign; a cost of exactly 0 (batch
    norm blocks it) counts half, NaN does not count. (entries, seeds) -> (seeds,).
    """
    known = ~np.isnan(table)
    halves = np.where(known, np.sign(sign * table) + 1, 0).sum(axis=0)
    return halves / np.maximum(2 * known.sum(axis=0), 1)


def mean_costs(found: OpenSearch, batches: int) -> dict[tuple[str, str], float]:
    """Mean cost over cells and batches, by edge and operation; NaN where it never ran."""
    return _means(_costs(found, batches))


def _means(part: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Mean over the batches of one seed, by edge and operation; NaN where it never ran."""
    costs = np.array(part["costs"], dtype=float)  # (batches, edges, operations)
    found = {}
    for row, edge in enumerate(part["edges"]):
        for name, k in zip(part["operations"][row], part["columns"][row], strict=True):
            values = costs[:, row, k]
            known = values[~np.isnan(values)]
            found[edge, name] = float(known.mean()) if len(known) else float("nan")
    return found


def _measuring(
    supernet: Callable[[int], OpenSearch], seed: int, batches: int
) -> Callable[[], dict[str, Any]]:
    return lambda: _costs(supernet(seed), batches)


def _costs(found: OpenSearch, batches: int) -> dict[str, Any]:
    """Per batch the mean over the cells of a kind, (batches, edges, operations), the edges of all
    kinds; operations in the order of each edge's own group.
    """
    groups = found.strategy.groups
    samples = cost_samples(found.module, found.loaders.train, batches)
    widest = max(len(group.operations) for group in groups)
    means = [_over_cells(samples[group.name], widest) for group in groups]
    return {
        "edges": edge_labels(groups),
        "operations": [list(names) for group in groups for names in group.edge_operations],
        "columns": [list(row) for group in groups for row in group.allowed],
        "costs": np.concatenate(means, axis=1).tolist(),
    }


def _over_cells(samples: np.ndarray, columns: int) -> np.ndarray:
    """Mean over cells, (batches, edges, columns), NaN where nothing ran."""
    with np.errstate(invalid="ignore"):
        ran = ~np.isnan(samples)
        total = np.where(ran, samples, 0).sum(axis=1)
        mean = np.where(ran.any(axis=1), total / np.maximum(ran.sum(axis=1), 1), np.nan)
    rest = ((0, 0), (0, 0), (0, columns - mean.shape[-1]))
    return np.pad(mean, rest, constant_values=np.nan)


def _table(values: dict[tuple[str, str], np.ndarray], run: StudyRun) -> Table:
    raw = [paired_flip(row) for row in values.values()]
    rows = []
    for (entry, row), p, adjusted in zip(values.items(), raw, holm(raw), strict=True):
        c = interval(row)
        rows.append([*entry, c.mean, c.low, c.high, c.values, p, float(adjusted)])
    return Table(
        f"local cost dL/dZ on {run['space']}: mean over cells and {run['batches']} batches; 95 % "
        f"interval over {run['seeds']} seeds; two-sided sign-flip p, raw and by Holm",
        ["edge", "operation", "mean cost", "low", "high", "seeds", "p", "p (Holm)"],
        rows,
    )


def _seeds(shares: np.ndarray, table: np.ndarray, run: StudyRun) -> Table:
    rows = [
        [seed, interval(table[:, place]).mean, float(shares[place] + 0.5)]
        for place, seed in enumerate(run.seeds)
    ]
    return Table(
        "every seed: mean cost of all operations but none, and the share of them with the claimed "
        "sign",
        ["seed", "mean cost", "share"],
        rows,
    )


def _panels(
    cells: dict[tuple[str, str], Interval], edges: list[str]
) -> dict[str, dict[str, list[float]]]:
    return {
        edge: {
            name: [c.mean, c.low, c.high]
            for (where, name), c in cells.items()
            if where == edge and name != "none"
        }
        for edge in edges
    }


def plot_costs(title: str) -> Callable[[dict[str, Any]], dict[str, Figure]]:
    """The picture of :func:`measure_costs`: bars an edge and operation."""

    def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
        stem = "costs_" + title.split()[-1]
        heading = f"Local cost {title} ({numbers['space']})"
        return {stem: operation_bars(numbers["bars"], heading, "cost dL/dZ")}

    return plot
