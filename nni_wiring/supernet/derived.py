"""The one description of a chosen cell: operations, graph, arch, topology, truth; and what is
expected of a cell drawn from p(alpha).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nni_wiring.records import DerivedCell, Truth
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth import DATASETS, SPLITS, TruthTable
from search_spaces.cell_graph import (
    NB201,
    OPERATIONS,
    CellGraph,
    Wiring,
    all_topology,
    cell_probabilities,
)
from search_spaces.errors import SpaceError
from search_spaces.genotypes import parse_genotype
from search_spaces.operations import canonical_operation

Figures = dict[str, float | int | bool]

#: How an arch begins that stands for several kinds of cell.
_GENOTYPE = "Genotype("


class Expectations(NamedTuple):
    """What is expected where every edge draws its operation on its own from p(alpha).

    Attributes:
        topology: width, depth, conv_depth, live_edges, and disconnected, the probability of a dead
            output; empty for a group that is no NAS-Bench-201 cell.
        truth: expected accuracies, without ranks; None where no benchmark holds the cells.
    """

    topology: Figures
    truth: Truth | None


def derive_cells(
    groups: Sequence[EdgeGroup],
    chosen: Mapping[str, Sequence[int]],
    table: TruthTable | None,
    genotype: str | None = None,
) -> dict[str, DerivedCell]:
    """The chosen cell of every kind, by kind.

    Args:
        groups: the edge groups, one a kind of cell.
        chosen: by group, a column of alpha for every edge.
        table: where the truth of NAS-Bench-201 cells is looked up; None for none.
        genotype: the published form of DARTS' normal and reduction cells, where they have one; it
            is then the arch of both, and only the edges that it keeps are described.
    """
    genotypes = None if genotype is None else parse_genotype(genotype)
    cells = {}
    for group in groups:
        if genotypes is not None and group.name in ("normal", "reduce"):
            wiring = genotypes.wiring(group.name)
            cells[group.name] = _of_wiring(group.name, wiring, wiring.operations, genotype)
        else:
            cells[group.name] = _derive(group, chosen[group.name], table)
    return cells


def one_arch(cells: Mapping[str, DerivedCell]) -> str | None:
    """The text that stands for all cells together: that of the only one, or the genotype that all
    share; None where there is none.
    """
    archs = {cell.arch for cell in cells.values()}
    arch = archs.pop() if len(archs) == 1 else None
    shared = arch is not None and arch.startswith(_GENOTYPE)
    return arch if len(cells) == 1 or shared else None


def chosen_operations(group: EdgeGroup, chosen: Sequence[int]) -> dict[str, str]:
    """{edge: operation} of a column of alpha for every edge, as the space spells them."""
    return {edge: group.operations[k] for edge, k in zip(group.edges, chosen, strict=True)}


def expectations(
    group: EdgeGroup, probabilities: np.ndarray, table: TruthTable | None
) -> Expectations:
    """Exact expectations over all 15,625 cells; probabilities: p(alpha), (edges, operations)."""
    p = official_probabilities(group, probabilities)
    if p is None:
        return Expectations({}, None)
    return Expectations(expected_topology(p), None if table is None else _expected(table, p))


def official_probabilities(group: EdgeGroup, probabilities: np.ndarray) -> np.ndarray | None:
    """p(alpha) as (6, 5) in NAS-Bench-201's order of edges and operations; None if the group is no
    such cell.
    """
    names = [canonical_operation(name) for name in group.operations]
    if group.graph != NB201 or not set(names) <= set(OPERATIONS):
        return None
    table = np.zeros((len(NB201.edges), len(OPERATIONS)))
    for column, name in enumerate(names):
        table[:, OPERATIONS.index(name)] += probabilities[:, column]
    return table / table.sum(axis=1, keepdims=True)


def expected_topology(p: np.ndarray) -> Figures:
    """Exact expectations under p, (6, 5): dot products with the figures of all cells."""
    weights, figures = cell_probabilities(p), all_topology()
    return {
        "width": float(weights @ figures.width),
        "depth": float(weights @ figures.depth),
        "conv_depth": float(weights @ figures.conv_depth),
        "live_edges": float(weights @ figures.live_edges),
        "disconnected": float(weights @ ~figures.connected),
    }


def _derive(group: EdgeGroup, chosen: Sequence[int], table: TruthTable | None) -> DerivedCell:
    operations = chosen_operations(group, chosen)
    spelt = ";".join(f"{edge}={name}" for edge, name in operations.items())
    if group.graph is None:
        return DerivedCell(group.name, operations, arch=spelt)
    official = tuple(canonical_operation(name) for name in operations.values())
    wiring = Wiring(group.graph, official)
    arch = _official_arch(wiring)
    truth = None if table is None or arch is None else truth_of(table, arch)
    return _of_wiring(group.name, wiring, tuple(operations.values()), arch or spelt, truth)


def _of_wiring(
    kind: str,
    wiring: Wiring,
    names: Sequence[str],
    arch: str | None,
    truth: Truth | None = None,
) -> DerivedCell:
    """names: the operations as the space spells them, where that is not the official way."""
    graph: CellGraph = wiring.graph
    return DerivedCell(
        kind=kind,
        operations=dict(zip(graph.edge_names, names, strict=True)),
        graph=graph,
        arch=arch,
        topology=dict(wiring.topology()._asdict()),
        truth=truth,
    )


def _official_arch(wiring: Wiring) -> str | None:
    try:
        return wiring.arch
    except SpaceError:  # another graph, or an operation that NAS-Bench-201 has not
        return None


def truth_of(table: TruthTable, arch: str) -> Truth | None:
    """The table's word on one cell, in every column."""
    return Truth.from_json(table.query(arch))


def _expected(table: TruthTable, p: np.ndarray) -> Truth:
    """The exact expected accuracy (percent) under p (6, 5); None where the table lacks it."""
    accuracy = {
        dataset: {
            split: table.expectation(p, dataset, split) if table.has(dataset, split) else None
            for split in SPLITS
        }
        for dataset in DATASETS
    }
    found = Truth.from_json({"accuracy": accuracy})
    assert found is not None
    return found
