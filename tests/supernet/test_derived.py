"""The one description of a chosen cell, against the benchmark's own strings, graphs and table."""

from __future__ import annotations

import numpy as np
import pytest

from nni_wiring.supernet.derived import derive_cells, expectations, one_arch
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph, Wiring, all_cells, format_arch
from search_spaces.genotypes import DARTS_GRAPH, DARTS_OPERATIONS, parse_genotype

# Liu, Simonyan & Yang (ICLR 2019), the published second order cells
PUBLISHED = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def group(
    graph: CellGraph | None = NB201, operations: tuple[str, ...] = OPERATIONS, name: str = "cell"
) -> EdgeGroup:
    edges = graph.edge_names if graph else ("0-1",)
    labels = [f"{name}/{edge.replace('-', '_')}" for edge in edges]
    return EdgeGroup(name, edges, labels, [operations] * len(edges), graph)


@pytest.mark.parametrize("code", [0, 1, 4711, 15_624])
def test_a_nasbench201_cell_has_its_official_string_topology_and_truth(code: int) -> None:
    table = load_table()
    chosen = all_cells()[code].tolist()
    [cell] = derive_cells([group()], {"cell": chosen}, table).values()
    assert cell.arch == format_arch(chosen)
    assert cell.operations == Wiring.from_arch(cell.arch).chosen
    assert cell.graph == NB201 and cell.kind == "cell"
    assert cell.topology == Wiring.from_arch(cell.arch).topology()._asdict()
    official = table.query(cell.arch)
    assert cell.truth is not None and cell.truth.index == official["index"]
    for dataset in ("cifar10", "cifar100", "imagenet16"):
        for split in ("valid", "test"):
            score = cell.truth.at(dataset, split)
            for name in ("accuracy", "rank", "percentile", "regret"):
                assert getattr(score, name) == official[name][dataset][split]


def test_the_hubs_own_names_and_order_of_operations_mean_the_same_cell() -> None:
    names = ("conv_3x3", "none", "skip_connect", "conv_1x1", "avg_pool_3x3")
    [cell] = derive_cells([group(operations=names)], {"cell": [0, 1, 2, 3, 4, 0]}, None).values()
    expected = ("nor_conv_3x3", "none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3")
    assert cell.arch == Wiring(NB201, (*expected, "nor_conv_3x3")).arch
    assert cell.operations["0-1"] == "conv_3x3"  # as alpha's table spells it
    assert cell.truth is None


def test_foreign_operations_on_its_graph_have_topology_and_no_truth() -> None:
    found = group(operations=("noise", "none"))
    [cell] = derive_cells([found], {"cell": [0, 0, 1, 1, 0, 0]}, load_table()).values()
    assert cell.arch == "0-1=noise;0-2=noise;1-2=none;0-3=none;1-3=noise;2-3=noise"
    assert cell.truth is None
    # 0-1-3 and 0-2-3 live: two nodes fed by the input, two connections deep
    assert (cell.topology["width"], cell.topology["depth"]) == (2.0, 2)
    assert (cell.topology["live_edges"], cell.topology["conv_depth"]) == (4, 0)
    assert expectations(found, np.full((6, 2), 0.5), load_table()) == ({}, None)


def test_a_lone_choice_is_operations_only() -> None:
    lone = group(None, ("conv", "skip"), "last")
    cells = derive_cells([lone], {"last": [1]}, load_table())
    assert cells["last"].operations == {"0-1": "skip"} and cells["last"].graph is None
    assert cells["last"].topology == {} and one_arch(cells) == "0-1=skip"
    other = group(None, ("conv", "skip"), "first")
    both = derive_cells([lone, other], {"last": [1], "first": [1]}, None)
    assert one_arch(both) is None  # two choices, though spelt alike


def test_a_genotype_is_the_arch_of_both_kinds_and_says_which_edges_stay() -> None:
    groups = [group(DARTS_GRAPH, DARTS_OPERATIONS, kind) for kind in ("normal", "reduce")]
    chosen = {kind: [1] * 14 for kind in ("normal", "reduce")}
    cells = derive_cells(groups, chosen, load_table(), PUBLISHED)
    assert one_arch(cells) == PUBLISHED
    assert cells["normal"].operations == {
        **{"0-2": "sep_conv_3x3", "1-2": "sep_conv_3x3", "0-3": "sep_conv_3x3"},
        **{"1-3": "sep_conv_3x3", "1-4": "sep_conv_3x3", "0-4": "skip_connect"},
        **{"0-5": "skip_connect", "2-5": "dil_conv_3x3"},
    }
    for kind, cell in cells.items():
        assert cell.topology == parse_genotype(PUBLISHED).wiring(kind).topology()._asdict()
    whole = derive_cells(groups, chosen, None)
    assert len(whole["normal"].operations) == 14 and one_arch(whole) is None


def test_expectations_of_a_certain_cell_are_that_cell() -> None:
    table = load_table()
    chosen = all_cells()[9_999]
    found = expectations(group(), np.eye(5)[chosen], table)
    [cell] = derive_cells([group()], {"cell": chosen.tolist()}, table).values()
    for name in ("width", "depth", "conv_depth", "live_edges"):
        assert found.topology[name] == pytest.approx(cell.topology[name])
    assert found.truth is not None and cell.truth is not None
    for key, score in cell.truth.scores.items():
        assert found.truth.at(*key).accuracy == pytest.approx(score.accuracy)
        assert found.truth.at(*key).rank is None
    assert found.truth.index is None
