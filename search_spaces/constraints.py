"""The one declarative constraint of a cell: which operations an edge may take (no torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_spaces.cell_graph import OPERATIONS, CellGraph
from search_spaces.errors import SpaceError

#: ``{edge name or "*": [allowed operations]}``; "*" stands for every edge that is not named.
EdgeOperations = Mapping[str, Sequence[str]]


def edge_operations(
    graph: CellGraph,
    constraint: EdgeOperations | None,
    operations: Sequence[str] = OPERATIONS,
) -> dict[str, tuple[str, ...]]:
    """Spell the constraint out: the allowed operations of every edge, in the constraint's order.

    Edges that the constraint leaves out allow all of ``operations``. Raises SpaceError for an
    unknown edge, a repeated operation or an empty list.
    """
    constraint = dict(constraint or {})
    unknown = sorted(set(constraint) - set(graph.edge_names) - {"*"})
    if unknown:
        raise SpaceError(
            f"operations: unknown edge {unknown[0]!r}; "
            f"allowed: {', '.join(graph.edge_names)} and '*' for all others"
        )
    allowed = {}
    for edge in graph.edge_names:
        names = tuple(constraint.get(edge, constraint.get("*", operations)))
        if not names or len(set(names)) != len(names):
            raise SpaceError(
                f"operations of edge {edge}: name at least one, each once; got {list(names)}"
            )
        allowed[edge] = names
    return allowed
