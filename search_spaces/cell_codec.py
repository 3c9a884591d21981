"""CellCodec: the cells of one benchmark as operation indices, as a number and as text (no torch).

A benchmark's file makes its codec by a subclass that says how a cell is spelt.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property, reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.errors import SpaceError
from search_spaces.graph import CellGraph
from search_spaces.names import Registry

_SHOWN_CHARACTERS = 80


def shown(text: str) -> str:
    """The text as an error message quotes it: one line, not too long."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")


def check_ops(ops: ArrayLike, edges: int, operations: int) -> NDArray[np.integer]:
    """Return ``ops`` as an integer array (n, edges); SpaceError if shape, type or range is wrong.

    A single cell (edges,) counts as n = 1.
    """
    array = np.atleast_2d(np.asarray(ops))
    if array.ndim != 2 or array.shape[1] != edges:
        raise SpaceError(
            f"cells: expected operation indices of shape (n, {edges}), got {np.shape(ops)}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise SpaceError(f"cells: operation indices must be integers, got {array.dtype}")
    if array.size and (array.min() < 0 or array.max() >= operations):
        raise SpaceError(
            f"cells: operation indices must lie in 0..{operations - 1}, "
            f"got {array.min()}..{array.max()}"
        )
    return array


class CellCodec(ABC):
    """The cells of a benchmark: one of ``operations`` on every edge of ``graph``.

    A cell's *code* is its place in the lexicographic order of its operation indices: the last edge
    varies fastest.

    Attributes:
        name: the benchmark's.
        graph: of every cell.
        operations: their place is their index.
        form: the spelling, as an error message shows it.
    """

    def __init__(
        self, name: str, graph: CellGraph, operations: Sequence[str], form: str = ""
    ) -> None:
        self.name, self.graph, self.operations = name, graph, tuple(operations)
        self.form = form

    @abstractmethod
    def parse(self, arch: str) -> tuple[int, ...]:
        """Read a cell's text: the operation index of every edge, in edge order.

        Raises:
            SpaceError: one line with the text, what is wrong, what is allowed.
        """

    @abstractmethod
    def spell(self, ops: Iterable[int]) -> str:
        """Write a cell's text; SpaceError unless ``ops`` is one valid index per edge."""

    @property
    def edges(self) -> int:
        """Number of edges of a cell."""
        return len(self.graph.edges)

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.operations) ** self.edges

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """The operation indices of every edge."""
        return (tuple(range(len(self.operations))),) * self.edges

    @cached_property
    def cells(self) -> NDArray[np.uint8]:
        """All cells: (size, edges) uint8, read-only; row = code."""
        shape = (len(self.operations),) * self.edges
        cells = np.indices(shape, dtype=np.uint8).reshape(self.edges, -1).T.copy()
        cells.flags.writeable = False
        return cells

    @cached_property
    def archs(self) -> list[str]:
        """The text of every cell, by code."""
        return [self.spell(cell) for cell in self.cells.tolist()]

    @cached_property
    def code_of_arch(self) -> dict[str, int]:
        """The code of every cell's text."""
        return {arch: code for code, arch in enumerate(self.archs)}

    def code(self, ops: ArrayLike) -> NDArray[np.int64]:
        """Codes of cells: (..., edges) -> (...) int64; SpaceError if an index is out of range."""
        array = np.asarray(ops)
        if array.ndim == 0 or array.shape[-1] != self.edges:
            raise SpaceError(
                f"cells: expected operation indices of shape (..., {self.edges}), got {array.shape}"
            )
        base = len(self.operations)
        check_ops(array.reshape(-1, self.edges), self.edges, base)
        return array.astype(np.int64) @ base ** np.arange(self.edges - 1, -1, -1)

    def probabilities(self, p: ArrayLike) -> NDArray[np.float64]:
        """Probability of every cell when each edge draws its operation on its own.

        Args:
            p: (edges, operations), one row per edge; taken as it is, not normalised.

        Returns:
            (size,) float64 by code, so that the expectation of any figure of cells is a dot
            product.
        """
        rows = np.asarray(p, dtype=np.float64)
        shape = (self.edges, len(self.operations))
        if rows.shape != shape:
            raise SpaceError(f"probabilities: expected shape {shape}, got {rows.shape}")
        return reduce(np.multiply.outer, rows).reshape(-1)

    def indices(self, operations: Iterable[str]) -> tuple[int, ...]:
        """Index of each named operation; SpaceError for one that the benchmark has not."""
        names = tuple(operations)
        for name in names:
            if name not in self.operations:
                raise SpaceError(
                    f"operation {shown(str(name))} is none of {self.name}: "
                    f"{', '.join(self.operations)}"
                )
        return tuple(self.operations.index(name) for name in names)

    def holds(self, graph: CellGraph, operations: Iterable[str]) -> bool:
        """True where all cells with these operations on this graph are the benchmark's."""
        return graph == self.graph and set(operations) <= set(self.operations)

    def malformed(self, arch: object, problem: str, allowed: str = "") -> SpaceError:
        """The error of a text that is no cell: the text, what is wrong, what is allowed."""
        return SpaceError(
            f"arch {shown(str(arch))}: {problem}; {allowed or 'expected ' + self.form}"
        )


#: The codecs by the name of their benchmark.
CODECS: Registry[CellCodec] = Registry("benchmark", SpaceError, group="nni_wiring.codecs")
