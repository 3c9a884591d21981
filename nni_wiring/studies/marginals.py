"""The true worth of each operation on each edge: exact marginals of the truth table."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import NB201, OPERATIONS

_SHAPE = (len(OPERATIONS),) * len(NB201.edges)


def as_cube(table: TruthTable, column: ArrayLike) -> np.ndarray:
    """A column of a table, (cells,) by official index, as one axis of 5 operations per edge."""
    values = np.empty(len(table))
    values[table.codes] = column
    return values.reshape(_SHAPE)


def accuracy_cube(table: TruthTable, dataset: str, split: str) -> np.ndarray:
    """True accuracies (percent), one axis of 5 operations per edge."""
    return as_cube(table, table.values(dataset, split))


def mean_marginals(cube: np.ndarray) -> np.ndarray:
    """(edges, operations): the mean over all cells that have the operation on the edge."""
    axes = range(cube.ndim)
    return np.stack([cube.mean(axis=tuple(a for a in axes if a != edge)) for edge in axes])


def cell_marginals(cube: np.ndarray, cell: tuple[int, ...]) -> np.ndarray:
    """(edges, operations): the cell with one edge changed to the operation."""
    rows = []
    for edge in range(cube.ndim):
        place = tuple(slice(None) if a == edge else op for a, op in enumerate(cell))
        rows.append(cube[place])
    return np.stack(rows)
