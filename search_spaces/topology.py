"""Topology figures of cells, vectorised over many cells at once (no torch).

Width and depth are those of Shu et al., ICLR 2020, arXiv 1909.09569, after the dead edges are
pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.cell_codec import CellCodec, check_ops
from search_spaces.cell_codes import NASBENCH201
from search_spaces.errors import SpaceError
from search_spaces.graph import NB201, OPERATIONS, CellGraph

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class CellTopology(NamedTuple):
    """The figures of one cell as plain Python numbers; fields as in :class:`Topology`."""

    width: float
    depth: int
    conv_depth: int
    live_edges: int
    none_edges: int
    live_paths: int
    connected: bool
    intermediate_alive: bool


class Topology(NamedTuple):
    """The figures of n cells, each field an array (n,).

    width: in units of the cell's channels c: sum over intermediate nodes of the share of the node's
    live in-edges that come from a cell input. depth: connections on the longest live path (skip
    counts, and so does the connection that concatenates a node into the output). conv_depth: most
    convolutions on a live path. live_edges: edges on a path from an input to the output without
    none. none_edges: edges whose operation is none. live_paths: number of such paths. connected:
    whether there is one. intermediate_alive: whether an edge between intermediate nodes
    (NAS-Bench-201: 1-2) is live. A disconnected cell has 0 everywhere but in none_edges.
    """

    width: NDArray[np.float64]
    depth: IntArray
    conv_depth: IntArray
    live_edges: IntArray
    none_edges: IntArray
    live_paths: IntArray
    connected: BoolArray
    intermediate_alive: BoolArray

    def cell(self, row: int) -> CellTopology:
        """The figures of one row; its ``_asdict()`` can be written as JSON."""
        return CellTopology(*(column[row].item() for column in self))


def live_mask(
    ops: ArrayLike, graph: CellGraph = NB201, operations: Sequence[str] = OPERATIONS
) -> BoolArray:
    """Edges on a path from input to output whose operations are all other than none.

    ops: (n, edges) indices into ``operations``. Returns (n, edges) bool. Raises SpaceError for a
    bad shape or index.
    """
    array = check_ops(ops, len(graph.edges), len(operations))
    passes = (array != _none_index(operations)).T
    reached = np.zeros((graph.nodes, len(array)), dtype=bool)
    reached[list(graph.inputs)] = True
    for edge in _by_target(graph):
        source, target = graph.edges[edge]
        reached[target] |= passes[edge] & reached[source]
    used = np.zeros_like(reached)
    used[list(graph.outputs)] = True
    for edge in reversed(_by_target(graph)):
        source, target = graph.edges[edge]
        used[source] |= passes[edge] & used[target]
    sources, targets = np.asarray(graph.edges).reshape(-1, 2).T
    return (passes & reached[sources] & used[targets]).T


def topology(
    ops: ArrayLike, graph: CellGraph = NB201, operations: Sequence[str] = OPERATIONS
) -> Topology:
    """Topology figures of n cells; ops: (n, edges) indices into ``operations``.

    An operation named none cuts its edge; one with "conv" in its name counts for the conv depth.
    Raises SpaceError for a bad shape or index.
    """
    array = check_ops(ops, len(graph.edges), len(operations))
    live = live_mask(array, graph, operations)
    is_conv = np.array(["conv" in name for name in operations], dtype=bool)[array]
    depth = _longest(live, np.ones(live.shape, dtype=np.int64), graph)
    connected: BoolArray = np.any(live, axis=1)
    intermediate = [role == "intermediate" for role in graph.edge_roles]
    return Topology(
        width=_width(live, graph),
        depth=depth + (connected if graph.concatenates else 0),
        conv_depth=_longest(live, is_conv.astype(np.int64), graph),
        live_edges=live.sum(axis=1),
        none_edges=(array == _none_index(operations)).sum(axis=1),
        live_paths=_paths(live, graph),
        connected=connected,
        intermediate_alive=np.any(live[:, intermediate], axis=1),
    )


@lru_cache(maxsize=8)
def codec_topology(codec: CellCodec) -> Topology:
    """The figures of all cells of a benchmark in code order (cached, read-only)."""
    figures = topology(codec.cells, codec.graph, codec.operations)
    for column in figures:
        column.flags.writeable = False
    return figures


def all_topology() -> Topology:
    """The figures of all 15,625 cells of NAS-Bench-201 in code order (cached, read-only)."""
    return codec_topology(NASBENCH201)


def live_wirings(
    ops: ArrayLike, graph: CellGraph = NB201, operations: Sequence[str] = OPERATIONS
) -> int:
    """Number of distinct sets of live edges among the cells (the empty set counts)."""
    return len(np.unique(live_mask(ops, graph, operations), axis=0))


def _none_index(operations: Sequence[str]) -> int:
    return operations.index("none") if "none" in operations else -1


def _by_target(graph: CellGraph) -> list[int]:
    """Edges ordered so that all edges into a node come before those out of it."""
    return sorted(range(len(graph.edges)), key=lambda edge: graph.edges[edge][1])


def _longest(live: BoolArray, lengths: IntArray, graph: CellGraph) -> IntArray:
    """Largest sum of ``lengths`` (n, edges) along a live path: (n,), 0 where there is none."""
    best = np.zeros((graph.nodes, len(live)), dtype=np.int64)
    for edge in _by_target(graph):
        source, target = graph.edges[edge]
        here = np.where(live[:, edge], best[source] + lengths[:, edge], 0)
        np.maximum(best[target], here, out=best[target])
    return best[list(graph.outputs)].max(axis=0)


def _paths(live: BoolArray, graph: CellGraph) -> IntArray:
    """Number of live paths from an input to the output: (n,)."""
    count = np.zeros((graph.nodes, len(live)), dtype=np.int64)
    count[list(graph.inputs)] = 1
    for edge in _by_target(graph):
        source, target = graph.edges[edge]
        count[target] += np.where(live[:, edge], count[source], 0)
    return count[list(graph.outputs)].sum(axis=0)


def _width(live: BoolArray, graph: CellGraph) -> NDArray[np.float64]:
    """S3's width in units of c: (n,)."""
    width = np.zeros(len(live))
    for node in graph.intermediate_nodes:
        incoming = list(graph.edges_into(node))
        from_input = [edge for edge in incoming if graph.edge_roles[edge] == "input"]
        total = live[:, incoming].sum(axis=1)
        width += live[:, from_input].sum(axis=1) / np.maximum(total, 1)
    return width


class NullComparison(NamedTuple):
    """A figure's value beside that of a cell drawn uniformly from all 15,625."""

    mean: float
    share_at_most: float


@lru_cache(maxsize=1)
def null_distribution() -> dict[str, NDArray[np.generic]]:
    """Each topology figure over all 15,625 cells, in code order: the null of a random cell."""
    return dict(all_topology()._asdict())


def against_null(figure: str, value: float) -> NullComparison:
    """Mean of a topology figure over random cells, and the share of cells with at most ``value``.

    Raises SpaceError for an unknown figure.
    """
    if figure not in Topology._fields:
        raise SpaceError(
            f"topology figure {figure!r} is not known; allowed: {', '.join(Topology._fields)}"
        )
    column = null_distribution()[figure].astype(np.float64)
    return NullComparison(float(column.mean()), float((column <= value).mean()))
