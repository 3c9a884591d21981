"""Genotypes: the discrete cells of DARTS-type spaces as the papers write them (no torch)."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from search_spaces.cell_graph import CellGraph, Wiring
from search_spaces.errors import SpaceError

#: The operations of Liu, Simonyan & Yang (ICLR 2019), and of S1's minimal and simplified cells.
DARTS_OPERATIONS = (
    "none",
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "sep_conv_3x3",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sep_conv_5x5",
)


def _darts_graph(nodes: int, inputs: int) -> CellGraph:
    """Every node is joined to all before it; the output concatenates the intermediate nodes."""
    inner = range(inputs, inputs + nodes)
    edges = tuple((source, target) for target in inner for source in range(target))
    return CellGraph(tuple(range(inputs)), inputs + nodes, edges, tuple(inner))


#: DARTS: two inputs, four nodes, 14 edges.
DARTS_GRAPH = _darts_graph(nodes=4, inputs=2)
#: S1's minimal cell: two inputs, two nodes. Input edges 0-2, 1-2, 0-3, 1-3; intermediate 2-3.
MINIMAL_GRAPH = _darts_graph(nodes=2, inputs=2)
#: S1's simplified cell: the minimal one without its first input.
SIMPLIFIED_GRAPH = _darts_graph(nodes=2, inputs=1)

_SHORT = {
    "skip": "skip_connect",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "sep": "sep_conv_3x3",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
}
_S1_PRESETS = {
    "normal": "skip,dil3 skip,dil5 skip,dil5 skip,sep skip,dil3 max,skip skip,sep "
    "skip,sep skip,dil3 skip,sep max,skip skip,dil3 dil3,dil5 dil3,dil5",
    "reduce": "max,avg max,dil3 max,avg max,avg skip,dil5 max,avg max,sep "
    "skip,dil3 skip,dil5 max,avg max,avg skip,dil5 skip,dil5 skip,dil5",
}

#: Failure space S1 (Zela et al., ICLR 2020), as DARTS-PT's code lists it: two operations per edge.
DARTS_S1: dict[str, tuple[str, ...]] = {
    f"{kind}/{edge}": tuple(_SHORT[name] for name in preset.split(","))
    for kind, presets in _S1_PRESETS.items()
    for edge, preset in zip(DARTS_GRAPH.edge_names, presets.split(), strict=True)
}

Pairs = tuple[tuple[str, int], ...]


class Genotype(NamedTuple):
    """A normal and a reduction cell: ``(operation, source node)`` pairs, two per node, and nodes
    that are concatenated.
    """

    normal: Pairs
    normal_concat: tuple[int, ...]
    reduce: Pairs
    reduce_concat: tuple[int, ...]

    def wiring(self, kind: str) -> Wiring:
        """The cell of a kind (``normal`` or ``reduce``); SpaceError if it is malformed."""
        if kind == "normal":
            return Wiring.from_genotype(self.normal, self.normal_concat)
        return Wiring.from_genotype(self.reduce, self.reduce_concat)


def _literal(node: ast.expr) -> object:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        bounds = [ast.literal_eval(argument) for argument in node.args]
        if all(isinstance(b, int) and abs(b) <= 100 for b in bounds) and 1 <= len(bounds) <= 2:
            return list(range(*bounds))
        raise ValueError("range")
    return ast.literal_eval(node)


def parse_genotype(text: str) -> Genotype:
    """Read the published form, ``Genotype(normal=[('sep_conv_3x3', 1), ...], ...)``.

    Only literals and ``range`` are understood; nothing is run. Raises SpaceError, one line.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("no call with keywords")
        found = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
        genotype = Genotype(
            normal=_pairs(found.pop("normal")),
            normal_concat=_concat(found.pop("normal_concat")),
            reduce=_pairs(found.pop("reduce")),
            reduce_concat=_concat(found.pop("reduce_concat")),
        )
        if found:
            raise ValueError(f"unknown part {next(iter(found))}")
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError):
        raise SpaceError(
            f"genotype {text[:60]!r}: expected Genotype(normal=[(operation, source), ...], "
            "normal_concat=[...], reduce=[...], reduce_concat=[...])"
        ) from None
    for kind in ("normal", "reduce"):
        genotype.wiring(kind)
    return genotype


def _pairs(value: object) -> Pairs:
    pairs = tuple((str(name), source) for name, source in value)  # type: ignore[attr-defined]
    if not all(type(source) is int for _, source in pairs):
        raise ValueError("sources")
    return pairs


def _concat(value: object) -> tuple[int, ...]:
    nodes = tuple(value)  # type: ignore[arg-type,var-annotated]
    if not all(type(node) is int for node in nodes):
        raise ValueError("concat")
    return nodes


def format_genotype(genotype: Genotype) -> str:
    """The published form; :func:`parse_genotype` reads it back."""
    parts = [
        f"{name}={list(value)!r}" for name, value in zip(Genotype._fields, genotype, strict=True)
    ]
    return f"Genotype({', '.join(parts)})"


def strongest_edges(
    strength: Mapping[str, float], graph: CellGraph = DARTS_GRAPH, per_node: int = 2
) -> dict[int, list[str]]:
    """DARTS' topology step: the ``per_node`` strongest edges into every node, in edge order.

    strength: by edge name, all edges of ``graph``. The earlier edge wins a tie.
    """
    kept: dict[int, list[str]] = {}
    for node in graph.intermediate_nodes:
        names = [graph.edge_names[edge] for edge in graph.edges_into(node)]
        best = sorted(names, key=lambda name: -strength[name])[:per_node]
        kept[node] = [name for name in names if name in best]
    return kept


def cell_pairs(
    chosen: Mapping[str, str], kept: Mapping[int, Sequence[str]], graph: CellGraph = DARTS_GRAPH
) -> Pairs:
    """The genotype's pairs of a cell: the operations ``chosen`` on the ``kept`` edges."""
    pairs: list[tuple[str, int]] = []
    for node in sorted(kept):
        for name in kept[node]:
            pairs.append((chosen[name], graph.edges[graph.edge_index(name)][0]))
    return tuple(pairs)
