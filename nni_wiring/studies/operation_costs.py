"""The local cost of every edge and operation of a supernet that stands still (S1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.search.reopen import OpenSearch
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.frame import Findings, StudyRun, Table, Verdict, graded
from nni_wiring.studies.probes import cost_samples
from nni_wiring.studies.statistics import Interval, interval

#: Alpha equal everywhere and never moved: DSNAS then draws operations uniformly (S1's code).
UNIFORM = {"strategy": "dsnas", "alpha_init": 0.0, "alpha_init_mean": 0.0}
FROZEN_ALPHA = 1_000_000  # warm-up epochs that never end


def uniform_options() -> dict[str, Any]:
    """Options of a search that samples operations uniformly and leaves alpha as it is."""
    return {**UNIFORM, "warmup_epochs": FROZEN_ALPHA}


def measure_costs(run: StudyRun, supernet: Callable[[int], OpenSearch], claim: str) -> Findings:
    """Costs over batches and seeds of the supernets that ``supernet(seed)`` opens.

    claim: "positive" or "negative": what S1 says of all operations but none.
    """
    batches: list[np.ndarray] = []
    edges: list[str] = []
    operations: list[list[str]] = []
    columns: list[list[int]] = []
    for seed in run.seeds:
        found = run.part(f"costs-s{seed}", _measuring(supernet, seed, run["batches"]))
        edges, operations, columns = found["edges"], found["operations"], found["columns"]
        batches.append(np.array(found["costs"], dtype=float))
    values = np.concatenate(batches)  # (batches of all seeds, edges, operations)
    cells = {
        (edge, name): interval(values[:, row, k])
        for row, edge in enumerate(edges)
        for name, k in zip(operations[row], columns[row], strict=True)
    }
    return Findings(
        [_table(cells, run)],
        [_verdict(cells, claim)],
        {"bars": _panels(cells, edges), "space": run["space"]},
    )


def _measuring(
    supernet: Callable[[int], OpenSearch], seed: int, batches: int
) -> Callable[[], dict[str, Any]]:
    return lambda: _costs(supernet(seed), batches)


def _costs(found: OpenSearch, batches: int) -> dict[str, Any]:
    """Per batch the mean over cells, (batches, edges, operations), of the first kind of cell."""
    samples = cost_samples(found.module, found.loaders.train, batches)
    with np.errstate(invalid="ignore"):
        ran = ~np.isnan(samples)
        total = np.where(ran, samples, 0).sum(axis=1)
        mean = np.where(ran.any(axis=1), total / np.maximum(ran.sum(axis=1), 1), np.nan)
    group = found.strategy.groups[0]
    return {
        "edges": list(group.edges),
        "operations": [list(names) for names in group.edge_operations],
        "columns": [list(row) for row in group.allowed],
        "costs": mean.tolist(),
    }


def _table(cells: dict[tuple[str, str], Interval], run: StudyRun) -> Table:
    rows = [
        [edge, name, c.mean, c.low, c.high, c.values]
        for (edge, name), c in cells.items()
        if name != "none"
    ]
    return Table(
        f"local cost dL/dZ on {run['space']}: mean over cells, {run['batches']} batches, "
        f"{run['seeds']} seeds; 95 % interval over batches",
        ["edge", "operation", "mean cost", "low", "high", "batches"],
        rows,
    )


def _verdict(cells: dict[tuple[str, str], Interval], claim: str) -> Verdict:
    sign = 1 if claim == "positive" else -1
    found = [c for (_, name), c in cells.items() if name != "none" and c.values]
    agree = sum(sign * c.mean > 0 for c in found)
    sure = sum(sign * (c.low if sign > 0 else c.high) > 0 for c in found)
    against = sum(sign * (c.high if sign > 0 else c.low) < 0 for c in found)
    share = agree / len(found)
    verdict = graded(share)
    if verdict == "holds" and against:
        verdict = "holds in part"
    when = "at initialisation" if sign > 0 else "after training"
    return Verdict(
        f"{when} the cost of all operations but none tends to be {claim}",
        verdict,
        f"{agree} of {len(found)} means {claim}; {sure} intervals wholly {claim}, "
        f"{against} wholly of the other sign",
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


def draw_costs(title: str) -> Callable[[dict[str, Any]], dict[str, Figure]]:
    """The picture of :func:`measure_costs`: bars an edge and operation."""

    def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
        stem = "costs_" + title.split()[-1]
        heading = f"Local cost {title} ({numbers['space']})"
        return {stem: operation_bars(numbers["bars"], heading, "cost dL/dZ")}

    return draw
