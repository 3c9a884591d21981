"""The epoch record: everything that one epoch's measurement says, as plain numbers (a line of
epochs.jsonl).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nni_wiring.monitor.local_cost import LocalCost
from nni_wiring.monitor.patterns import patterns
from nni_wiring.monitor.phase_statistics import PhaseStatistics
from nni_wiring.monitor.topology import (
    derived_wiring,
    expected_topology,
    official_probabilities,
    topology_record,
)
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth.table import TruthTable
from search_spaces.errors import SpaceError

Table = dict[str, dict[str, Any]]

#: Where each phase's data comes from: alpha descends on the search half, all else on the training
#: data.
PART_OF_PHASE = {"weights": "train", "joint": "train", "alpha": "search"}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def edge_keys(group: EdgeGroup, alone: bool) -> list[str]:
    """The names of the group's edges in a record: "0-1", or "normal/0-1" where a space has several
    kinds of cell; a LayerChoice outside any cell goes by its label.
    """
    if alone:
        return list(group.edges)
    if group.labels == (group.name,):
        return [group.name]
    return [f"{group.name}/{edge}" for edge in group.edges]


def spell(group: EdgeGroup, keys: Sequence[str], values: np.ndarray) -> Table:
    """(edges, operations) values -> {edge: {operation: value or None}}, allowed entries only."""
    return {
        key: {group.operations[k]: _plain(float(row[k])) for k in allowed}
        for key, row, allowed in zip(keys, values, group.allowed, strict=True)
    }


def cost_record(
    group: EdgeGroup, keys: Sequence[str], costs: Mapping[str, LocalCost]
) -> dict[str, dict[str, Table]]:
    """{phase: {"mean" | "variance" | "count": {edge: {operation: value}}}}, pooled over cells;
    joint is told as weights.
    """
    record = {}
    for phase, cost in costs.items():
        pooled = cost.over_cells()
        counts = spell(group, keys, pooled.steps.astype(float))
        record["weights" if phase == "joint" else phase] = {
            "mean": spell(group, keys, pooled.mean),
            "variance": spell(group, keys, pooled.variance),
            "count": {e: {op: int(n or 0) for op, n in row.items()} for e, row in counts.items()},
        }
    return record


def cost_cells_record(costs: Mapping[str, LocalCost]) -> dict[str, list[list[list[float | None]]]]:
    """{phase: [cells][edges][operations] mean cost, None where it never ran}."""
    return {
        "weights" if phase == "joint" else phase: [
            [[_plain(float(x)) for x in row] for row in cell] for cell in cost.mean
        ]
        for phase, cost in costs.items()
    }


def statistics_record(statistics: Mapping[str, PhaseStatistics]) -> dict[str, dict[str, float]]:
    """{"loss" | "entropy" | "loss_minus_entropy" | "accuracy": {"train" | "search": value}}."""
    record: dict[str, dict[str, float]] = {}
    for phase, values in statistics.items():
        part = PART_OF_PHASE[phase]
        for name in ("loss", "entropy", "loss_minus_entropy", "accuracy"):
            record.setdefault(name, {})[part] = getattr(values, name)
    return record


def truth_of(table: TruthTable | None, arch: str | None) -> dict[str, Any] | None:
    """The truth of a cell: accuracy, rank, percentile and regret by data set and split; None
    without table or cell.
    """
    if table is None or arch is None:
        return None
    found = table.query(arch)
    return {key: found[key] for key in ("index", "accuracy", "rank", "percentile", "regret")}


def expected_truth(table: TruthTable | None, p: np.ndarray) -> dict[str, Any] | None:
    """The exact expected accuracy (percent) under p (6, 5), for every metric of the table."""
    if table is None:
        return None
    accuracy: dict[str, dict[str, float | None]] = {}
    for dataset in ("cifar10", "cifar100", "imagenet16"):
        accuracy[dataset] = {
            split: table.expectation(p, dataset, split) if table.has(dataset, split) else None
            for split in ("valid", "test")
        }
    return {"accuracy": accuracy}


def cell_record(
    group: EdgeGroup,
    chosen: Sequence[int],
    probabilities: np.ndarray,
    table: TruthTable | None,
) -> dict[str, Any]:
    """The derived cell: arch, topology, truth, and their expectations under p(alpha).

    chosen: a column of alpha for every edge. probabilities: p(alpha), (edges, operations). A group
    that is no NAS-Bench-201 cell gets the sample spelt out as its arch and no more.
    """
    wiring = derived_wiring(group, chosen)
    p = official_probabilities(group, probabilities)
    if wiring is None or p is None:
        pairs = zip(group.edges, chosen, strict=True)
        return {"arch": ";".join(f"{edge}={group.operations[k]}" for edge, k in pairs)}
    try:
        arch = wiring.arch
    except SpaceError:
        return {"topology": topology_record(wiring)}
    return {
        "arch": arch,
        "topology": topology_record(wiring),
        "topology_expected": dict(expected_topology(p)._asdict()),
        "truth": truth_of(table, arch),
        "truth_expected": expected_truth(table, p),
    }


def pattern_record(group: EdgeGroup, history: Sequence[Mapping[str, str]]) -> dict[str, Any] | None:
    """Growing index, width preference and recovery epochs over the epochs so far; None for a group
    without a graph.
    """
    if group.graph is None or not history:
        return None
    found = patterns(history, group.graph)
    return {
        "selected_edges": found.selected_edges,
        "growing_index": found.growing_index,
        "width_preference": found.width_preference,
        "recovery_epochs": dict(found.recovery_epochs),
    }
