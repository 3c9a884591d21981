"""Cells: their graph, one operation per edge (Wiring), and every figure of them (no torch).

The parts live in modules of their own; this one is where the rest of the project imports them from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.cell_codec import CellCodec, check_ops
from search_spaces.cell_codes import (
    all_cells,
    cell_code,
    cell_probabilities,
    format_arch,
    parse_arch,
)
from search_spaces.errors import SpaceError
from search_spaces.graph import NB201, OPERATIONS, ROLES, CellGraph, Role
from search_spaces.topology import (
    CellTopology,
    NullComparison,
    Topology,
    against_null,
    all_topology,
    codec_topology,
    live_mask,
    live_wirings,
    null_distribution,
    topology,
)
from search_spaces.uniqueness import (
    exact_class,
    published_class,
    unique_exact,
    unique_published,
)

__all__ = [
    "NB201",
    "OPERATIONS",
    "ROLES",
    "CellCodec",
    "CellGraph",
    "CellTopology",
    "NullComparison",
    "Role",
    "Topology",
    "Wiring",
    "against_null",
    "all_cells",
    "all_topology",
    "cell_code",
    "cell_probabilities",
    "codec_topology",
    "exact_class",
    "format_arch",
    "live_mask",
    "live_wirings",
    "null_distribution",
    "parse_arch",
    "published_class",
    "topology",
    "unique_exact",
    "unique_published",
]


@dataclass(frozen=True)
class Wiring:
    """A cell graph with one operation (by name) on every edge, in edge order.

    Names are free, so that spaces with other operations fit; "none" cuts its edge. Raises
    SpaceError if their number is not that of the edges.
    """

    graph: CellGraph
    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(self.graph.edges):
            raise SpaceError(
                f"wiring: {len(self.operations)} operation(s) for {len(self.graph.edges)} edges "
                f"({', '.join(self.graph.edge_names)})"
            )

    @classmethod
    def from_arch(cls, arch: str) -> Wiring:
        """The NAS-Bench-201 cell of an official arch string; SpaceError if it is malformed."""
        return cls(NB201, tuple(OPERATIONS[index] for index in parse_arch(arch)))

    @classmethod
    def from_indices(
        cls,
        indices: Iterable[int],
        graph: CellGraph = NB201,
        operations: Sequence[str] = OPERATIONS,
    ) -> Wiring:
        """The cell of one index into ``operations`` per edge; SpaceError if one is out of range."""
        row = check_ops([*indices], len(graph.edges), len(operations))[0]
        return cls(graph, tuple(operations[index] for index in row))

    @classmethod
    def from_edges(cls, chosen: Mapping[str, str], graph: CellGraph = NB201) -> Wiring:
        """The cell of ``{edge name: operation}``; SpaceError unless it names exactly the edges."""
        if set(chosen) != set(graph.edge_names):
            raise SpaceError(
                f"wiring: expected an operation for each of {', '.join(graph.edge_names)}; "
                f"got edges {', '.join(chosen) or 'none at all'}"
            )
        return cls(graph, tuple(chosen[name] for name in graph.edge_names))

    @classmethod
    def from_genotype(
        cls, pairs: Sequence[tuple[str, int]], concat: Sequence[int], inputs: int = 2
    ) -> Wiring:
        """A DARTS-type cell from a genotype's list.

        Args:
            pairs: ``(operation, source node)``, two in a row for each intermediate node, as in the
                published genotypes (github.com/quark0/darts).
            concat: the nodes whose concatenation is the output.
            inputs: number of cell inputs.
        """
        if len(pairs) % 2:
            raise SpaceError(f"genotype: two edges a node, got {len(pairs)} edges")
        targets = [inputs + place // 2 for place in range(len(pairs))]
        edges = tuple((source, target) for (_, source), target in zip(pairs, targets, strict=True))
        graph = CellGraph(
            inputs=tuple(range(inputs)),
            nodes=inputs + len(pairs) // 2,
            edges=edges,
            outputs=tuple(concat),
        )
        return cls(graph, tuple(name for name, _ in pairs))

    @property
    def chosen(self) -> dict[str, str]:
        """``{edge name: operation}`` in edge order."""
        return dict(zip(self.graph.edge_names, self.operations, strict=True))

    @property
    def indices(self) -> tuple[int, ...]:
        """Index into OPERATIONS per edge; SpaceError for an operation that is not in it."""
        for name in self.operations:
            if name not in OPERATIONS:
                raise SpaceError(
                    f"operation {name!r} is not one of NAS-Bench-201: {', '.join(OPERATIONS)}"
                )
        return tuple(OPERATIONS.index(name) for name in self.operations)

    @property
    def arch(self) -> str:
        """The official arch string; SpaceError if this is not a NAS-Bench-201 cell."""
        if self.graph != NB201:
            raise SpaceError("wiring: only a NAS-Bench-201 cell has an arch string")
        return format_arch(self.indices)

    def topology(self) -> CellTopology:
        """The topology figures of this cell, as plain Python numbers."""
        return topology(*self._encoded()).cell(0)

    def live(self) -> dict[str, bool]:
        """True for each edge on a path from input to output without none, by edge name."""
        mask = live_mask(*self._encoded())[0]
        return dict(zip(self.graph.edge_names, mask.tolist(), strict=True))

    def _encoded(self) -> tuple[np.ndarray, CellGraph, tuple[str, ...]]:
        """The cell as one row of indices into a vocabulary of its own operations."""
        names = tuple(sorted(set(self.operations)))
        row = np.array([[names.index(name) for name in self.operations]], dtype=np.int64)
        return row, self.graph, names
