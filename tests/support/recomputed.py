"""An explanation's figures from the table alone, the slow way."""

from __future__ import annotations

import itertools

import numpy as np

from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import OPERATIONS


def accuracy(table: TruthTable, cell: list[int]) -> float:
    """Of one operation an edge: CIFAR-10 validation, percent."""
    return float(table.values("cifar10", "valid")[table.index_of(cell)])


def shares(table: TruthTable, cell: list[int], best: list[int]) -> list[float]:
    """Mean gain of every edge over all 720 orders of joining the best cell's operations."""
    gains = np.zeros(len(cell))
    for order in itertools.permutations(range(len(cell))):
        now = list(cell)
        for edge in order:
            before = accuracy(table, now)
            now[edge] = best[edge]
            gains[edge] += accuracy(table, now) - before
    return list(gains / 720)


def choices(table: TruthTable, cell: list[int], place: int) -> dict[str, float]:
    """Accuracy with every other operation on one edge, the best first."""
    others = {
        name: accuracy(table, [*cell[:place], k, *cell[place + 1 :]])
        for k, name in enumerate(OPERATIONS)
        if k != cell[place]
    }
    return dict(sorted(others.items(), key=lambda one: -one[1]))
