"""Is a choice of operations tilted to cells that are fast beyond what they end at? (S3)"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.truth.table import TruthTable

Array = NDArray[np.float64]


class SelectedSpeed(NamedTuple):
    """Percentiles after the shortest and after the whole training, expected under a choice.

    Attributes:
        early: E_p of the percentile after the shortest tabulated training.
        late: E_p of the percentile after the whole training.
        null: mean of early - late over all orders of the edges' probabilities, exact: the same
            preferences for operations, the wiring destroyed.
    """

    early: float
    late: float
    null: float

    @property
    def tilt(self) -> float:
        """Points of percentile by which the choice favours fast cells, beyond its operations."""
        return self.early - self.late - self.null


class Equals(NamedTuple):
    """The other cells that end about where one ends.

    Attributes:
        cells: their number.
        ahead: share (0..1) of them that it leads after the shortest training, ties count half.
    """

    cells: int
    ahead: float


class SpeedTable:
    """Percentiles of one data set's cells as tensors with an axis an edge.

    Raises:
        BenchmarkError: the table has no accuracy after ``short`` epochs.
    """

    def __init__(self, table: TruthTable, dataset: str, short: int, split: str = "valid") -> None:
        early, late = (
            np.asarray(table.standing(dataset, split, epochs).percentile, dtype=float)
            for epochs in (short, None)
        )
        edges, kinds = len(table.benchmark.codec.graph.edges), len(table.benchmark.codec.operations)
        place = tuple(np.asarray(table.operations, dtype=np.int64).T)
        self.early, self.late = (np.full((kinds,) * edges, np.nan) for _ in range(2))
        self.early[place], self.late[place] = early, late

    def of(self, probabilities: ArrayLike) -> SelectedSpeed:
        """Of p(alpha), (edges, operations), rows summing to 1; a one-hot row is a chosen cell."""
        p = np.asarray(probabilities, dtype=float)
        early, late = _expectation(self.early, p), _expectation(self.late, p)
        return SelectedSpeed(early, late, _mean_over_orders(self.early - self.late, p))

    def equals(self, cell: tuple[int, ...], within: float = 1.0) -> Equals:
        """The cells whose percentile at the end is within ``within`` points of this one's.

        Args:
            cell: one operation an edge.
            within: percentiles.
        """
        near = (np.abs(self.late - self.late[cell]) <= within) & np.isfinite(self.early)
        near[cell] = False
        others, own = self.early[near], self.early[cell]
        ahead = (others < own).mean() + (others == own).mean() / 2 if len(others) else np.nan
        return Equals(len(others), float(ahead))


def _expectation(values: Array, p: Array) -> float:
    for row in p:
        values = np.tensordot(row, values, axes=(0, 0))
    return float(values)


def _mean_over_orders(values: Array, p: Array) -> float:
    """Mean expectation over all assignments of the rows to the axes.

    Sums over subsets: after k axes only the set of the k rows used so far matters, so 2^edges
    partial sums replace the edges! orders.
    """
    partial: dict[int, tuple[Array, int]] = {0: (values, 1)}
    for _ in range(len(p)):
        grown: dict[int, tuple[Array, int]] = {}
        for used, (rest, orders) in partial.items():
            for place, row in enumerate(p):
                if used >> place & 1:
                    continue
                term = np.tensordot(row, rest, axes=(0, 0))
                known = grown.get(used | 1 << place)
                grown[used | 1 << place] = (
                    (term, orders) if known is None else (known[0] + term, known[1] + orders)
                )
        partial = grown
    [(total, orders)] = partial.values()
    return float(total) / orders
