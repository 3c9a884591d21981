"""Which kinds of cell records speak of; and what figures may stand on."""

from __future__ import annotations

import ast
from pathlib import Path

import kinds_of_runs
import pytest
from synthetic_runs import record

from nni_wiring import figures
from nni_wiring.figures.kinds import CHOICES, MOST_EDGES, MOST_KINDS, CellKind, cell_kinds
from nni_wiring.records import DerivedCell, EpochRecord
from search_spaces.cell_graph import NB201, CellGraph
from search_spaces.genotypes import DARTS_GRAPH, MINIMAL_GRAPH


def table(*keys: str) -> dict[str, dict[str, float | None]]:
    return {key: {"none": 0.0, "skip_connect": 1.0} for key in keys}


def test_one_kind_whose_edges_are_nasbench201s() -> None:
    [kind] = cell_kinds([EpochRecord.from_json(record("cccccc", 0))])
    assert kind == CellKind("cell", NB201.edge_names, NB201.edge_names, NB201)
    assert kind.roles["1-2"] == "intermediate"


def test_two_kinds_are_told_apart_by_their_keys() -> None:
    normal, reduce = cell_kinds([kinds_of_runs.two_kinds(epoch) for epoch in range(2)])
    assert (normal.name, reduce.name) == ("normal", "reduce")
    assert normal.edges == reduce.edges == MINIMAL_GRAPH.edge_names
    assert reduce.keys == tuple(f"reduce/{edge}" for edge in MINIMAL_GRAPH.edge_names)
    assert normal.graph == MINIMAL_GRAPH
    found = normal.read({"normal/0-2": {"a": 1.0}, "reduce/0-2": {"a": 2.0}})
    assert found == {"0-2": {"a": 1.0}}


def test_edges_stand_in_graph_order_whatever_the_order_in_the_record() -> None:
    [kind] = cell_kinds([EpochRecord(0, alpha=table(*reversed(NB201.edge_names)))])
    assert kind.edges == NB201.edge_names


def test_choices_that_stand_alone_are_one_kind() -> None:
    [kind] = cell_kinds([EpochRecord(0, alpha=table("stem", "block/3", "block/4"))])
    assert kind == CellKind(CHOICES, ("stem", "block/3", "block/4"), ("stem", "block/3", "block/4"))
    assert kind.roles == {}


def test_the_searched_graph_of_a_cell_that_lost_edges() -> None:
    """DARTS keeps two edges a node; the searched graph has all 14, with the derived outputs."""
    kept = CellGraph((0, 1), 6, ((0, 2), (1, 2), (0, 3), (1, 3), (0, 4), (1, 4), (0, 5), (1, 5)),
                     (2, 3, 4, 5))  # fmt: skip
    cells = {"normal": DerivedCell("normal", {}, kept)}
    alpha = table(*(f"normal/{edge}" for edge in DARTS_GRAPH.edge_names))
    [kind] = cell_kinds([EpochRecord(0, alpha=alpha, cells=cells)])
    assert kind.graph == DARTS_GRAPH


@pytest.mark.parametrize("edges", [("0-1",), ("0-1", "1-0"), ("0-1", "0-1b"), ("5-4", "0-999")])
def test_edges_of_no_known_graph_are_shown_without_one(edges: tuple[str, ...]) -> None:
    for cell in (None, DerivedCell("cell", {}, MINIMAL_GRAPH)):
        cells = {} if cell is None else {"cell": cell}
        [kind] = cell_kinds([EpochRecord(0, alpha=table(*edges), cells=cells)])
        assert kind.edges == edges and kind.graph is None


def test_a_foreign_record_may_hold_any_number() -> None:
    many = table(*(f"k{kind}/0-{edge}" for kind in range(20) for edge in range(1, 100)))
    kinds = cell_kinds([EpochRecord(0, alpha=many)])
    assert len(kinds) == MOST_KINDS and all(len(kind.edges) == MOST_EDGES for kind in kinds)
    assert cell_kinds([]) == () and cell_kinds([EpochRecord(0)]) == ()


def test_figures_stand_on_records_and_search_spaces_only() -> None:
    allowed = ("nni_wiring.figures", "nni_wiring.records", "search_spaces")
    for path in Path(figures.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                own = node.module.startswith(("nni_wiring", "search_spaces"))
                assert not own or node.module.startswith(allowed), f"{path.name}: {node.module}"
