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
from nni_wiring.supernet.derived import derive_cells, expectations, summary
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth.table import TruthTable

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


def cell_record(
    group: EdgeGroup,
    chosen: Sequence[int],
    probabilities: np.ndarray,
    table: TruthTable | None,
) -> dict[str, Any]:
    """The derived cell of the only group: arch, topology, truth, and what p(alpha) expects.

    chosen: a column of alpha for every edge. probabilities: p(alpha), (edges, operations).
    """
    cells = derive_cells([group], {group.name: chosen}, table)
    expected = expectations(group, probabilities, table)
    return {
        "cells": {kind: cell.to_json() for kind, cell in cells.items()},
        **summary(cells),
        "topology_expected": expected.topology,
        "truth_expected": None if expected.truth is None else expected.truth.to_json(),
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
