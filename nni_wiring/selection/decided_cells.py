"""The cells of a supernet that is decided edge by edge: what stands, and what it leads to."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nni_wiring.selection.genotype import darts_genotype
from nni_wiring.supernet.edge_group import EdgeGroup
from search_spaces.genotypes import DARTS_GRAPH, Pairs, cell_pairs


def masked(z: torch.Tensor, edge: int, operation: int | None) -> torch.Tensor:
    """z, (edges, operations), without one operation, or (None) without a whole edge; the other
    weights stay as they are.
    """
    z = z.clone()
    z[edge, slice(None) if operation is None else operation] = 0
    return z


def live_edges(group: EdgeGroup, node: int) -> list[int]:
    """The edges into a node of a DARTS cell that have not been dropped."""
    gone = group.decisions.dropped
    return [edge for edge in DARTS_GRAPH.edges_into(node) if edge not in gone]


def decided_cell(group: EdgeGroup) -> list[int]:
    """The operation of every edge; of a dropped edge ``none``, where it may have it."""
    return without_dropped(group, _operations(group))


def without_dropped(group: EdgeGroup, cell: list[int]) -> list[int]:
    """A cell (a column of alpha per edge), with ``none`` on dropped edges that may have it."""
    dropped = group.decisions.dropped
    return [
        group.operations.index("none")
        if edge in dropped and "none" in group.edge_operations[edge]
        else k
        for edge, k in enumerate(cell)
    ]


def decided_genotype(groups: Sequence[EdgeGroup]) -> str | None:
    """The published form of DARTS' normal and reduction cells, as decided; None for other cells."""
    return darts_genotype(groups, _pairs)


def _operations(group: EdgeGroup) -> list[int]:
    chosen = group.decisions.chosen
    return [chosen.get(edge, allowed[0]) for edge, allowed in enumerate(group.allowed)]


def _pairs(group: EdgeGroup) -> Pairs:
    operations = [group.operations[k] for k in _operations(group)]
    kept = {
        node: [group.edges[edge] for edge in live_edges(group, node)]
        for node in DARTS_GRAPH.intermediate_nodes
    }
    return cell_pairs(dict(zip(group.edges, operations, strict=True)), kept)
