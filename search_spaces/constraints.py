"""The one declarative constraint of a cell: the operations that an edge may take (no torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_spaces.cell_graph import OPERATIONS, CellGraph
from search_spaces.errors import SpaceError

#: ``{edge name or "*": [allowed operations]}``; "*" stands for every edge that is not named.
EdgeOperations = Mapping[str, Sequence[str]]


def of_kind(constraint: EdgeOperations, kind: str) -> dict[str, Sequence[str]]:
    """The part of a constraint that concerns one kind of cell: its own keys (``normal/0-2``) before
    those that hold for every kind (``0-2``, ``*``).
    """
    prefix = f"{kind}/"
    common = {key: names for key, names in constraint.items() if "/" not in key}
    own = {key.removeprefix(prefix): n for key, n in constraint.items() if key.startswith(prefix)}
    return {**common, **own}


def kinds_operations(
    graph: CellGraph,
    kinds: Sequence[str],
    constraint: EdgeOperations,
    operations: Sequence[str],
) -> dict[str, tuple[str, ...]]:
    """The allowed operations of every edge of a space with several kinds of cell, by
    ``kind/edge``; SpaceError as for :func:`edge_operations`.
    """
    for key in constraint:
        kind, slash, _ = key.partition("/")
        if slash and kind not in kinds:
            raise SpaceError(
                f"operations: unknown kind of cell {kind!r}; allowed: {', '.join(kinds)}"
            )
    return {
        f"{kind}/{edge}": names
        for kind in kinds
        for edge, names in edge_operations(graph, of_kind(constraint, kind), operations).items()
    }


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
