"""The accuracies of a benchmark as a function of one operation per edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.explain.shapley import shapley
from nni_wiring.files.messages import shown
from nni_wiring.truth.benchmark import ACCURACY
from nni_wiring.truth.table import Arch, TruthTable
from search_spaces.errors import WiringError

_DIGITS = 18  # no benchmark has a cell whose index is longer

#: The place of each edge's operation in the benchmark's list of operations, in edge order.
Cell = tuple[int, ...]


class CellSpace(NamedTuple):
    """A benchmark's name, the names of its edges and the operations that each can have."""

    benchmark: str
    edges: tuple[str, ...]
    operations: tuple[str, ...]


def cell_space(table: TruthTable) -> CellSpace:
    """The cells that a table is about."""
    benchmark = table.benchmark
    return CellSpace(benchmark.name, benchmark.graph.edge_names, benchmark.operations)


class NearestBest(NamedTuple):
    """The best cell that differs in the fewest edges, and how many cells are as good."""

    cell: Cell
    accuracy: float
    ties: int


@dataclass(frozen=True)
class Landscape:
    """One accuracy of every cell of a benchmark.

    Attributes:
        table: names the cells.
        space: their edges and operations.
        dataset, split: the accuracy.
        accuracies: one axis per edge, one place per operation; percent, NaN where missing.
    """

    table: TruthTable
    space: CellSpace
    dataset: str
    split: str
    accuracies: NDArray[np.float64]

    def cell(self, arch: Arch) -> Cell:
        """The cell of an arch string or index; SpaceError or BenchmarkError if it is none."""
        if isinstance(arch, str) and arch.strip().isdecimal() and len(arch.strip()) > _DIGITS:
            raise BenchmarkError(f"cell index {shown(arch.strip())} does not exist")
        return tuple(self.table.operations[self.table.index_of(arch)].tolist())

    def find(self, arch: str | None) -> Cell | None:
        """The cell of a record's arch; None where it is none of the benchmark's."""
        try:
            return None if arch is None else self.cell(arch)
        except WiringError:
            return None

    def index(self, cell: Cell) -> int:
        """The cell's index in the benchmark."""
        return self.table.index_of(cell)

    def arch(self, cell: Cell) -> str:
        """The cell as its benchmark spells it."""
        return self.table.arch(self.index(cell))

    def accuracy(self, cell: Cell) -> float | None:
        """The cell's accuracy; None where it is missing."""
        return known(self.accuracies[cell])

    def choices(self, cell: Cell, edge: int) -> dict[str, float | None]:
        """The accuracy with each operation on one edge, all else equal; the cell's own is one."""
        place: tuple[int | slice, ...] = (*cell[:edge], slice(None), *cell[edge + 1 :])
        row = self.accuracies[place]
        return dict(zip(self.space.operations, map(known, row), strict=True))

    @cached_property
    def best_accuracy(self) -> float:
        """The best accuracy of any cell; BenchmarkError where every one is missing."""
        if not np.isfinite(self.accuracies).any():
            raise BenchmarkError(
                f"table {self.table.name!r} has no accuracy {self.dataset} {self.split} of any cell"
            )
        return float(np.nanmax(self.accuracies))

    def regret(self, accuracy: float | None) -> float | None:
        """Percent points below the best cell; None for an accuracy that is missing."""
        if accuracy is None:
            return None
        return round(self.best_accuracy - accuracy, ACCURACY.decimals)

    def nearest_best(self, cell: Cell) -> NearestBest:
        """The best cell; of equal ones the one with the fewest edges that differ from `cell`'s,
        and of those the one with the smallest index.
        """
        best = np.argwhere(self.accuracies == self.best_accuracy)
        distances = (best != np.array(cell)).sum(axis=1)
        nearest = [tuple(row) for row in best[distances == distances.min()].tolist()]
        return NearestBest(min(nearest, key=self.index), self.best_accuracy, len(best))

    def attribute(self, start: Cell, goal: Cell) -> tuple[float, ...] | None:
        """Split the accuracy gained from `start` to `goal` over the edges, by Shapley's value.

        The worth of a set of edges is the accuracy of `start` with `goal`'s operations on them.
        An edge with the same operation in both gets 0.

        Returns:
            Percent points, one share an edge; None where the table lacks a cell in between.
        """
        sets = np.arange(1 << len(start))
        taken = sets[:, None] >> np.arange(len(start)) & 1
        cells = np.where(taken == 1, goal, start)
        worth = self.accuracies[tuple(cells.T)]
        if not np.isfinite(worth).all():
            return None
        return tuple(shapley(worth).tolist())


@lru_cache(maxsize=4)  # a search asks for the same one at every epoch's end
def landscape(table: TruthTable, dataset: str, split: str) -> Landscape:
    """One accuracy of a table, rounded as its standing is.

    Raises:
        BenchmarkError: the table has no such accuracy, or it is no share of which more is better;
            the line names it.
    """
    space, measure = cell_space(table), table.benchmark.measure(dataset)
    if measure.unit != ACCURACY.unit:
        raise BenchmarkError(
            f"{shown(dataset)} of {table.benchmark.title} is measured in {measure.name}: explained "
            "are accuracies in percent; choose another data set with --dataset"
        )
    values = np.asarray(table.values(dataset, split), dtype=np.float64).round(ACCURACY.decimals)
    accuracies = np.full((len(space.operations),) * len(space.edges), np.nan)
    accuracies[tuple(table.operations.T)] = values
    return Landscape(table, space, dataset, split, accuracies)


def known(value: float) -> float | None:
    """A finite number, or None."""
    return float(value) if np.isfinite(value) else None
