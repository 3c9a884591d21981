"""Topology figures against the enumerated counts and against networkx on random cells."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest

from search_spaces.cell_graph import (
    NB201,
    OPERATIONS,
    CellGraph,
    Topology,
    against_null,
    all_cells,
    all_topology,
    live_mask,
    live_wirings,
    null_distribution,
    topology,
)
from search_spaces.errors import SpaceError

DARTS_OPERATIONS = (
    "max_pool_3x3",
    "sep_conv_3x3",
    "none",
    "dil_conv_5x5",
    "skip_connect",
)


@pytest.fixture(scope="module")
def figures() -> Topology:
    return topology(all_cells())


@pytest.mark.parametrize(
    ("figure", "counts"),
    [
        ("live_paths", [341, 2356, 4736, 4096, 4096]),
        ("depth", [341, 1364, 5920, 8000]),
        ("conv_depth", [1983, 7122, 5520, 1000]),
        ("live_edges", [341, 1364, 928, 3776, 1024, 4096, 4096]),
        ("none_edges", [4096, 6144, 3840, 1280, 240, 24, 1]),
        ("connected", [341, 15284]),
        ("intermediate_alive", [7625, 8000]),
    ],
)
def test_enumerated_counts(figures: Topology, figure: str, counts: list[int]) -> None:
    """Counted by hand-checked enumeration; 1-2 is live iff 0-1, 1-2 and 2-3 are: 4^3 x 5^3."""
    column = getattr(figures, figure)
    np.testing.assert_array_equal(np.bincount(column.astype(int)), counts)


def test_enumerated_joint_counts_of_width_and_depth(figures: Topology) -> None:
    pairs = zip(figures.width.tolist(), figures.depth.tolist(), strict=True)
    assert Counter(pairs) == {
        (0, 0): 341,
        (0, 1): 1364,
        (1, 2): 4640,
        (1, 3): 1600,
        (1.5, 3): 6400,
        (2, 2): 1280,
    }


def test_sixteen_live_wirings() -> None:
    assert live_wirings(all_cells()) == 16
    assert live_wirings(np.zeros((3, 6), dtype=int)) == 1


def _brute_force(graph: CellGraph, names: list[str]) -> dict[str, object]:
    """All figures of one cell by listing its paths with networkx."""
    network = nx.MultiDiGraph()
    network.add_nodes_from(range(graph.nodes))
    network.add_nodes_from(["in", "out"])
    network.add_edges_from(("in", node) for node in graph.inputs)
    network.add_edges_from((node, "out") for node in graph.outputs)
    for edge, (source, target) in enumerate(graph.edges):
        if names[edge] != "none":
            network.add_edge(source, target, key=f"edge {edge}")
    paths = [
        [int(key.split()[1]) for _, _, key in path if isinstance(key, str)]
        for path in nx.all_simple_edge_paths(network, "in", "out")
    ]
    live = set().union(*paths)
    concatenation = int(len(graph.outputs) > 1 and bool(paths))
    inner = [n for n in range(len(graph.inputs), graph.nodes) if graph.outputs != (n,)]
    width = 0.0
    for node in inner:
        sources = [graph.edges[e][0] for e in live if graph.edges[e][1] == node]
        if sources:
            width += sum(source in graph.inputs for source in sources) / len(sources)
    return {
        "width": pytest.approx(width),
        "depth": max((len(path) for path in paths), default=0) + concatenation,
        "conv_depth": max((sum("conv" in names[e] for e in path) for path in paths), default=0),
        "live_edges": len(live),
        "none_edges": names.count("none"),
        "live_paths": len(paths),
        "connected": bool(paths),
        "intermediate_alive": any(set(graph.edges[e]) <= set(inner) for e in live),
        "mask": [edge in live for edge in range(len(graph.edges))],
    }


def _check_against_networkx(graph: CellGraph, ops: np.ndarray, operations: tuple[str, ...]) -> None:
    figures = topology(ops, graph, operations)
    mask = live_mask(ops, graph, operations)
    for row, cell in enumerate(ops):
        expected = _brute_force(graph, [operations[op] for op in cell])
        assert mask[row].tolist() == expected.pop("mask")
        assert figures.cell(row)._asdict() == expected


def test_random_cells_against_networkx() -> None:
    ops = np.random.default_rng(0).integers(0, 5, size=(300, 6))
    _check_against_networkx(NB201, ops, OPERATIONS)


def _random_graph(rng: np.random.Generator) -> CellGraph:
    """A random cell graph: any density, parallel edges, dead ends, one output or several."""
    inputs = int(rng.integers(1, 4))
    nodes = inputs + int(rng.integers(2, 5))
    last = nodes - 1
    concatenates = bool(rng.integers(2))
    edges = []
    for _ in range(int(rng.integers(1, 11))):
        target = int(rng.integers(inputs, nodes))
        edges.append((int(rng.integers(0, target)), target))
    count = int(rng.integers(2, nodes - inputs + 1))
    chosen = rng.choice(np.arange(inputs, nodes), size=count, replace=False)
    outputs = tuple(int(node) for node in chosen) if concatenates else (last,)
    return CellGraph(tuple(range(inputs)), nodes, tuple(edges), outputs)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_against_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = _random_graph(rng)
    ops = rng.integers(0, len(DARTS_OPERATIONS), size=(8, len(graph.edges)))
    _check_against_networkx(graph, ops, DARTS_OPERATIONS)


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_random_cells_are_consistent(seed: int) -> None:
    ops = np.random.default_rng(seed).integers(0, 5, size=(500, 6))
    figures = topology(ops)
    mask = live_mask(ops)
    # pruning the dead edges changes nothing but the number of none
    pruned = topology(np.where(mask, ops, 0))
    for figure, after, before in zip(Topology._fields, pruned, figures, strict=True):
        if figure == "none_edges":
            np.testing.assert_array_equal(after, 6 - figures.live_edges)
        else:
            np.testing.assert_array_equal(after, before)
    assert (figures.conv_depth <= figures.depth).all()
    assert (figures.live_edges + figures.none_edges <= 6).all()
    np.testing.assert_array_equal(figures.connected, figures.live_paths > 0)
    # an edge more never removes a path
    more = ops.copy()
    more[:, 2] = np.maximum(more[:, 2], 1)
    assert (topology(more).live_paths >= figures.live_paths).all()


def test_operations_without_none_leave_every_edge_live() -> None:
    simple = topology([[0, 1, 0, 1, 0, 1]], NB201, ("skip_connect", "nor_conv_3x3"))
    assert simple.live_edges[0] == 6
    assert simple.none_edges[0] == 0
    assert simple.conv_depth[0] == 2


def test_no_cells_give_empty_columns() -> None:
    empty = topology(np.zeros((0, 6), dtype=int))
    assert {column.shape for column in empty} == {(0,)}


def test_null_is_the_uniform_cell(figures: Topology) -> None:
    null = null_distribution()
    assert set(null) == set(Topology._fields)
    for figure, column in figures._asdict().items():
        np.testing.assert_array_equal(null[figure], column)
    assert all_topology() is all_topology()
    with pytest.raises(ValueError, match="read-only"):
        null["depth"][0] = 9


def test_position_in_the_null_by_the_enumerated_counts() -> None:
    mean, share = against_null("depth", 2)
    assert mean == pytest.approx((1364 + 2 * 5920 + 3 * 8000) / 15625)
    assert share == pytest.approx((341 + 1364 + 5920) / 15625)
    mean, share = against_null("width", 1.5)
    assert mean == pytest.approx((4640 + 1600 + 1.5 * 6400 + 2 * 1280) / 15625)
    assert share == pytest.approx(1 - 1280 / 15625)
    assert against_null("none_edges", -1).share_at_most == 0
    assert against_null("none_edges", 6) == (pytest.approx(6 / 5), 1)
    assert against_null("intermediate_alive", False).mean == pytest.approx(8000 / 15625)
    with pytest.raises(SpaceError, match="'depht'.*conv_depth"):
        against_null("depht", 1)
