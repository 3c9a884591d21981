"""The kinds of cell that a run's records speak of, and where each one's edges stand in them.

A record's tables are keyed by edge: ``0-1`` where the run has one kind of cell, ``normal/0-1``
where it has several, and by its label a LayerChoice that stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from nni_wiring.records import DerivedCell, EdgeTable, EpochRecord
from search_spaces.cell_graph import NB201, CellGraph
from search_spaces.errors import SpaceError

#: LayerChoices that stand alone are shown together under this name.
CHOICES = "choices"
#: Beyond these nothing is shown: no search has as many, and a foreign file may hold any number.
MOST_KINDS, MOST_EDGES = 8, 64

_EDGE = re.compile(r"(\d{1,3})-(\d{1,3})[a-z]?")


class CellKind(NamedTuple):
    """One kind of cell.

    Attributes:
        name: its label; "cell" where the records do not tell.
        edges: names of its edges, in graph order.
        keys: the same edges as the records' tables call them.
        graph: the searched graph; None where it is not known, and for single LayerChoices.
    """

    name: str
    edges: tuple[str, ...]
    keys: tuple[str, ...]
    graph: CellGraph | None = None

    def read(self, table: EdgeTable) -> EdgeTable:
        """The part of a record's table that is about this kind, by edge name."""
        pairs = zip(self.edges, self.keys, strict=True)
        return {edge: table[key] for edge, key in pairs if key in table}

    @property
    def roles(self) -> Mapping[str, str]:
        """Role of every edge; empty where the graph is not known."""
        return {} if self.graph is None else dict(self.graph.roles)


def cell_kinds(records: Sequence[EpochRecord]) -> tuple[CellKind, ...]:
    """The kinds of cell whose alphas, Z or costs the records hold, in order of appearance."""
    by_kind: dict[str, list[str]] = {}
    for key in _table_keys(records):
        scope, _, edge = key.rpartition("/")
        kind = scope if _EDGE.fullmatch(edge) else CHOICES
        by_kind.setdefault(kind, []).append(key)
    cells = dict(records[-1].cells) if records else {}
    kinds = []
    for kind, keys in list(by_kind.items())[:MOST_KINDS]:
        name = kind or (next(iter(cells)) if len(cells) == 1 else "cell")
        kinds.append(_kind(name, keys[:MOST_EDGES], cells.get(name)))
    return tuple(kinds)


def _table_keys(records: Iterable[EpochRecord]) -> list[str]:
    found: dict[str, None] = {}
    for record in records:
        tables = [record.alpha, record.z, *(moments.mean for moments in record.cost.values())]
        found.update((key, None) for table in tables for key, row in table.items() if row)
    return list(found)


def _kind(name: str, keys: Sequence[str], cell: DerivedCell | None) -> CellKind:
    if name == CHOICES:
        return CellKind(name, tuple(keys), tuple(keys))
    by_edge = {key.rpartition("/")[2]: key for key in keys}
    graph = searched_graph(tuple(by_edge), None if cell is None else cell.graph)
    edges = tuple(by_edge) if graph is None else graph.edge_names
    return CellKind(name, edges, tuple(by_edge[edge] for edge in edges), graph)


def searched_graph(edges: Sequence[str], derived: CellGraph | None) -> CellGraph | None:
    """The graph that has exactly ``edges``.

    Args:
        edges: names of all edges that are searched.
        derived: graph of the derived cell, which may have lost edges; None where it is not known.
    """
    wanted = set(edges)
    for known in (derived, NB201):
        if known is not None and wanted == set(known.edge_names):
            return known
    if derived is None:
        return None
    pairs = [tuple(map(int, match.groups())) for e in edges if (match := _EDGE.fullmatch(e))]
    try:
        graph = CellGraph(
            derived.inputs, derived.nodes, tuple((s, t) for s, t in pairs), derived.outputs
        )
    except SpaceError:
        return None
    return graph if wanted == set(graph.edge_names) else None
