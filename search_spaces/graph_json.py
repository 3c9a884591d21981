"""A cell's graph as plain values that JSON knows, and back (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.errors import SpaceError
from search_spaces.graph import CellGraph

_MOST_NODES = 1000  # of no cell; a foreign record may claim a billion


def graph_to_json(graph: CellGraph | None) -> dict[str, Any] | None:
    """A cell's graph as plain values; ``graph_from_json`` reads it back."""
    if graph is None:
        return None
    return {
        "inputs": list(graph.inputs),
        "nodes": graph.nodes,
        "edges": [list(edge) for edge in graph.edges],
        "outputs": list(graph.outputs),
    }


def graph_from_json(value: object) -> CellGraph | None:
    """The graph, or None for anything that is no graph."""
    if not isinstance(value, Mapping):
        return None
    try:
        nodes = int(value["nodes"])
        if nodes > _MOST_NODES:
            return None
        return CellGraph(
            inputs=tuple(map(int, value["inputs"])),
            nodes=nodes,
            edges=tuple((int(source), int(target)) for source, target in value["edges"]),
            outputs=tuple(map(int, value["outputs"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError, SpaceError):
        return None
