"""Graph distances against networkx, enumeration and arithmetic by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from nni_wiring.studies.cell_distances import DISTANCES, edit, live_cells, weisfeiler_lehman
from search_spaces.cell_graph import NB201, OPERATIONS

NONE = OPERATIONS.index("none")


def cell(**edges: str) -> list[int]:
    """Edges like e01="skip_connect"; all others none."""
    row = [NONE] * 6
    for name, operation in edges.items():
        row[NB201.edge_index(f"{name[1]}-{name[2]}")] = OPERATIONS.index(operation)
    return row


def graph(row: list[int]) -> nx.DiGraph:
    """The live graph; input and output are told apart from the nodes between them."""
    found = nx.DiGraph()
    found.add_node(0, role="in")
    found.add_node(3, role="out")
    found.add_node(1, role="node")
    found.add_node(2, role="node")
    for (source, target), operation in zip(NB201.edges, row, strict=True):
        if operation != NONE:
            found.add_edge(source, target, operation=operation)
    return found


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 5, size=(40, 6))


def test_every_distance_is_symmetric_zero_on_itself_and_alike_for_equal_functions_of_the_graph(
    cells: np.ndarray,
) -> None:
    for name, distance in DISTANCES.items():
        found = distance(cells)
        np.testing.assert_allclose(found, found.T, atol=1e-12, err_msg=name)
        assert np.abs(np.diag(found)).max() < 1e-12 and found.min() >= -1e-12
        if name != "Hamming":  # dead edges count there alone
            np.testing.assert_allclose(distance(live_cells(cells)), found, atol=1e-12)


def test_edit_distance_is_networkx_own(cells: np.ndarray) -> None:
    graphs = [graph(row) for row in live_cells(cells).tolist()]
    found = edit(cells)
    for a in range(0, 40, 4):
        for b in range(1, 40, 5):
            exact = nx.graph_edit_distance(
                graphs[a],
                graphs[b],
                node_match=lambda x, y: x["role"] == y["role"],
                edge_match=lambda x, y: x["operation"] == y["operation"],
                node_subst_cost=lambda x, y: 0 if x["role"] == y["role"] else 100,
                node_del_cost=lambda x: 100,
                node_ins_cost=lambda x: 100,
            )
            assert found[a, b] == exact


def test_weisfeiler_lehman_by_hand() -> None:
    """One edge, skip or convolution: of 2 x 3 labels (two nodes, iterations 0, 1, 2) only those of
    iteration 0 agree, so the kernel is 2 / 6.
    """
    pair = np.array([cell(e03="skip_connect"), cell(e03="nor_conv_3x3")])
    assert weisfeiler_lehman(pair)[0, 1] == pytest.approx(1 - 2 / 6)
    swapped = np.array(
        [cell(e01="skip_connect", e13="avg_pool_3x3"), cell(e02="skip_connect", e23="avg_pool_3x3")]
    )
    assert weisfeiler_lehman(swapped)[0, 1] == pytest.approx(0)
    assert edit(swapped)[0, 1] == 0 and DISTANCES["Hamming"](swapped)[0, 1] == 4


def test_paths_by_hand() -> None:
    both = cell(e03="skip_connect", e01="nor_conv_1x1", e13="nor_conv_3x3")
    one = cell(e03="skip_connect", e12="nor_conv_1x1")  # 1-2 is dead
    assert DISTANCES["paths"](np.array([both, one]))[0, 1] == pytest.approx(0.5)
    dead = cell(e01="skip_connect")
    assert DISTANCES["paths"](np.array([dead, one, dead]))[0].tolist() == [0, 1, 0]
