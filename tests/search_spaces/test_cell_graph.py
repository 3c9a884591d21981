"""Cell graphs, edge roles and wirings, among them the published cells of five papers."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph, Wiring
from search_spaces.errors import SpaceError

ARCH = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"

# S1's minimal cell: two inputs, two nodes, the output is their concatenation.
MINIMAL = CellGraph(
    inputs=(0, 1), nodes=4, edges=((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), outputs=(2, 3)
)


def test_edges_and_roles_of_nasbench201() -> None:
    assert NB201.edge_names == ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
    assert NB201.roles == {
        "0-1": "input",
        "0-2": "input",
        "1-2": "intermediate",
        "0-3": "direct",
        "1-3": "output",
        "2-3": "output",
    }
    assert {edge: NB201.role(edge) for edge in NB201.edge_names} == NB201.roles
    assert NB201.intermediate_nodes == (1, 2)


def test_roles_of_a_concatenating_cell() -> None:
    assert MINIMAL.roles == {
        "0-2": "input",
        "1-2": "input",
        "0-3": "input",
        "1-3": "input",
        "2-3": "intermediate",
    }
    assert MINIMAL.intermediate_nodes == (2, 3)


def test_parallel_edges_have_names_of_their_own() -> None:
    graph = CellGraph(inputs=(0,), nodes=3, edges=((0, 1), (0, 1), (0, 1), (1, 2)), outputs=(2,))
    assert graph.edge_names == ("0-1", "0-1b", "0-1c", "1-2")
    assert graph.role("0-1c") == "input"


def test_graph_is_a_value() -> None:
    assert pickle.loads(pickle.dumps(NB201)) == NB201
    assert len({NB201, CellGraph((0,), 4, NB201.edges, (3,))}) == 1


def test_unknown_edge_is_named() -> None:
    with pytest.raises(SpaceError, match="'3-1'.*0-1, 0-2, 1-2, 0-3, 1-3, 2-3"):
        NB201.role("3-1")


@pytest.mark.parametrize(
    ("inputs", "nodes", "edges", "outputs"),
    [
        ((), 2, ((0, 1),), (1,)),
        ((1,), 3, ((1, 2),), (2,)),
        ((0,), 3, ((2, 1),), (2,)),
        ((0,), 3, ((1, 1),), (2,)),
        ((0,), 3, ((-1, 1),), (2,)),
        ((0,), 3, ((0, 3),), (2,)),
        ((0, 1), 3, ((0, 1),), (2,)),
        ((0,), 3, ((0, 1),), ()),
        ((0,), 3, ((0, 1),), (1, 1)),
        ((0,), 3, ((0, 1),), (0, 1)),
        ((0,), 3, ((0, 1),), (3,)),
        ((0,), 3, ((0, 1), (1, 2)), (1,)),
    ],
)
def test_malformed_graph_is_refused(
    inputs: tuple[int, ...],
    nodes: int,
    edges: tuple[tuple[int, int], ...],
    outputs: tuple[int, ...],
) -> None:
    with pytest.raises(SpaceError, match="^cell graph: [^\n]*$"):
        CellGraph(inputs, nodes, edges, outputs)


def test_wiring_by_string_indices_and_edges_is_one() -> None:
    wiring = Wiring.from_arch(ARCH)
    assert wiring.indices == (3, 0, 4, 1, 2, 0)
    assert wiring.arch == ARCH
    assert Wiring.from_indices(wiring.indices) == wiring
    assert Wiring.from_edges(dict(reversed(wiring.chosen.items()))) == wiring
    assert wiring.chosen["1-2"] == "avg_pool_3x3"


def test_topology_of_one_wiring_by_hand() -> None:
    wiring = Wiring.from_arch(ARCH)
    # 1-2 leads to node 2, which leads nowhere; live: 0-1 (conv), 1-3 (conv), 0-3 (skip)
    assert wiring.live() == {
        "0-1": True,
        "0-2": False,
        "1-2": False,
        "0-3": True,
        "1-3": True,
        "2-3": False,
    }
    assert wiring.topology()._asdict() == {
        "width": 1.0,
        "depth": 2,
        "conv_depth": 2,
        "live_edges": 3,
        "none_edges": 2,
        "live_paths": 2,
        "connected": True,
        "intermediate_alive": False,
    }
    assert {type(value) for value in wiring.topology()} == {float, int, bool}


def test_wiring_with_operations_of_another_space() -> None:
    wiring = Wiring(NB201, ("noise",) * 6)
    assert wiring.topology().live_edges == 6
    assert wiring.topology().conv_depth == 0
    with pytest.raises(SpaceError, match="'noise'"):
        _ = wiring.arch
    with pytest.raises(SpaceError, match="arch string"):
        _ = Wiring(MINIMAL, ("none",) * 5).arch


def test_malformed_wiring_is_refused() -> None:
    with pytest.raises(SpaceError, match="2 operation"):
        Wiring(NB201, ("none", "none"))
    with pytest.raises(SpaceError, match="0-1, 0-2"):
        Wiring.from_edges({"0-1": "none"})
    with pytest.raises(SpaceError, match="two edges a node"):
        Wiring.from_genotype([("skip_connect", 0)], [2])


# Normal cells as published: (operation, source) twice a node, from node 2 on, and the concatenated
# nodes. ENAS: its released micro cell, nodes written (source, op) as 0 2 0 0 | 0 4 0 1 | ...
PUBLISHED = {
    "NASNet-A": (
        [
            ("sep_conv_5x5", 1),
            ("sep_conv_3x3", 0),
            ("sep_conv_5x5", 0),
            ("sep_conv_3x3", 0),
            ("avg_pool_3x3", 1),
            ("skip_connect", 0),
            ("avg_pool_3x3", 0),
            ("avg_pool_3x3", 0),
            ("sep_conv_3x3", 1),
            ("skip_connect", 1),
        ],
        [2, 3, 4, 5, 6],
        (5.0, 2),
    ),
    "AmoebaNet-A": (
        [
            ("avg_pool_3x3", 0),
            ("max_pool_3x3", 1),
            ("sep_conv_3x3", 0),
            ("sep_conv_5x5", 2),
            ("sep_conv_3x3", 0),
            ("avg_pool_3x3", 3),
            ("sep_conv_3x3", 1),
            ("skip_connect", 1),
            ("skip_connect", 0),
            ("avg_pool_3x3", 1),
        ],
        [4, 5, 6],
        (4.0, 4),
    ),
    "ENAS": (
        [
            ("avg_pool_3x3", 0),
            ("sep_conv_3x3", 0),
            ("skip_connect", 0),
            ("sep_conv_5x5", 0),
            ("skip_connect", 0),
            ("sep_conv_5x5", 1),
            ("sep_conv_3x3", 1),
            ("sep_conv_5x5", 0),
            ("avg_pool_3x3", 0),
            ("sep_conv_5x5", 1),
        ],
        [2, 3, 4, 5, 6],
        (5.0, 2),
    ),
    "DARTS, second order": (
        [
            ("sep_conv_3x3", 0),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 0),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 1),
            ("skip_connect", 0),
            ("skip_connect", 0),
            ("dil_conv_3x3", 2),
        ],
        [2, 3, 4, 5],
        (3.5, 3),
    ),
    "SNAS, mild": (
        [
            ("sep_conv_3x3", 0),
            ("sep_conv_3x3", 1),
            ("skip_connect", 0),
            ("dil_conv_3x3", 1),
            ("skip_connect", 0),
            ("skip_connect", 1),
            ("skip_connect", 0),
            ("sep_conv_3x3", 1),
        ],
        [2, 3, 4, 5],
        (4.0, 2),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_width_and_depth_of_published_cells(name: str) -> None:
    """Shu et al. 2020 print these (width / c, depth) beside the drawings of the five cells."""
    pairs, concat, (width, depth) = PUBLISHED[name]
    figures = Wiring.from_genotype(pairs, concat).topology()
    assert (figures.width, figures.depth) == (width, depth)
    assert figures.live_edges == len(pairs)
    assert figures.none_edges == 0


def test_conv_depth_of_published_cells() -> None:
    # DARTS: sep_conv into node 2, dil_conv on to node 5. AmoebaNet: 2->3 sep_conv after a pooling.
    pairs, concat, _ = PUBLISHED["DARTS, second order"]
    assert Wiring.from_genotype(pairs, concat).topology().conv_depth == 2
    pairs, concat, _ = PUBLISHED["AmoebaNet-A"]
    assert Wiring.from_genotype(pairs, concat).topology().conv_depth == 1


def test_none_prunes_a_genotype() -> None:
    # node 2 is reached by none only: its edge into node 3 is dead, node 3 keeps one input edge
    pairs = [("none", 0), ("none", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 2)]
    figures = Wiring.from_genotype(pairs, [2, 3]).topology()
    assert (figures.width, figures.depth, figures.live_edges) == (1.0, 2, 1)
    assert not figures.intermediate_alive
    cut = Wiring.from_genotype([("none", source) for _, source in pairs], [2, 3]).topology()
    assert cut._asdict() == {
        "width": 0.0,
        "depth": 0,
        "conv_depth": 0,
        "live_edges": 0,
        "none_edges": 4,
        "live_paths": 0,
        "connected": False,
        "intermediate_alive": False,
    }


def test_importing_the_graphs_imports_no_torch() -> None:
    code = "import sys, search_spaces.cell_graph; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_operations_are_in_the_order_of_the_benchmark() -> None:
    expected = "none skip_connect nor_conv_1x1 nor_conv_3x3 avg_pool_3x3"
    assert " ".join(OPERATIONS) == expected
