"""The one description of a chosen cell: operations, graph, arch, topology, truth; and what is
expected of a cell drawn from p(alpha).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nni_wiring.records import DerivedCell, Truth
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth import TruthTable
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from search_spaces.cell_codec import CellCodec
from search_spaces.cell_graph import CellGraph, Wiring, codec_topology
from search_spaces.genotypes import parse_genotype
from search_spaces.operations import canonical_operation

Figures = dict[str, float | int | bool]

#: How an arch begins that stands for several kinds of cell.
_GENOTYPE = "Genotype("


class Expectations(NamedTuple):
    """Expectations where every edge draws its operation on its own from p(alpha).

    Attributes:
        topology: width, depth, conv_depth, live_edges, and disconnected, the probability of a dead
            output; empty for a group that is no cell of the benchmark.
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
        table: where the truth is looked up; None for none.
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
    """Exact expectations over all cells of the table's benchmark, without one over NAS-Bench-201's.

    Args:
        group: the edges; where they are no cell of the benchmark, nothing is expected.
        probabilities: p(alpha), (edges, operations).
        table: where accuracies come from; None for none.
    """
    benchmark = _benchmark(table)
    names = [canonical_operation(name) for name in group.operations]
    if group.graph is None or not benchmark.codec.holds(group.graph, names):
        return Expectations({}, None)
    p = benchmark.in_order(names, probabilities)
    truth = None if table is None else table.expected_truth(p)
    return Expectations(expected_topology(benchmark.codec, p), truth)


def expected_topology(codec: CellCodec, p: np.ndarray) -> Figures:
    """Exact expectations under p, (edges, operations): dot products with all cells' figures."""
    weights, figures = codec.probabilities(p), codec_topology(codec)
    return {
        "width": float(weights @ figures.width),
        "depth": float(weights @ figures.depth),
        "conv_depth": float(weights @ figures.conv_depth),
        "live_edges": float(weights @ figures.live_edges),
        "disconnected": float(weights @ ~figures.connected),
    }


def _benchmark(table: TruthTable | None) -> Benchmark:
    return NASBENCH201 if table is None else table.benchmark


def _derive(group: EdgeGroup, chosen: Sequence[int], table: TruthTable | None) -> DerivedCell:
    operations = chosen_operations(group, chosen)
    spelt = ";".join(f"{edge}={name}" for edge, name in operations.items())
    if group.graph is None:
        return DerivedCell(group.name, operations, arch=spelt)
    official = tuple(canonical_operation(name) for name in operations.values())
    wiring = Wiring(group.graph, official)
    codec = _benchmark(table).codec
    arch = codec.spell(codec.indices(official)) if codec.holds(group.graph, official) else None
    truth = None if table is None or arch is None else table.truth(arch)
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
