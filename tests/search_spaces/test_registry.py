"""The spaces by name: how many cells each holds, and which of them have a truth."""

from __future__ import annotations

from itertools import product

import pytest

from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.errors import SpaceError
from search_spaces.registry import SPACES, SpaceEntry, build_space, space_entry

#: name: allowed operations per edge, in NAS-Bench-201's edge order (theory page, sections 1 and 2)
CONV, SKIP, NONE = "nor_conv_3x3", "skip_connect", "none"
EXPECTED = {
    "nasbench201": [set(OPERATIONS)] * 6,
    "nasbench201_simple": [set(OPERATIONS) - {NONE}] * 6,
    "nasbench201_s2": [{SKIP, CONV}] * 6,
    "nasbench201_s4": [{"noise", CONV}] * 6,
    "nasbench201_s10": [{NONE, CONV}] * 6,
    # 1-3 = 2-3 = skip, 0-3 = none, the first three edges are searched
    "nasbench201_minimal": [set(OPERATIONS)] * 3 + [{NONE}, {SKIP}, {SKIP}],
    "transnas101_micro": [set(OPERATIONS) - {"avg_pool_3x3"}] * 6,
}


def test_all_names_are_there() -> None:
    assert set(EXPECTED) <= set(SPACES)


@pytest.mark.parametrize("name", EXPECTED)
def test_allowed_operations_and_number_of_cells(name: str) -> None:
    entry = space_entry(name)
    allowed = entry.operations()
    assert tuple(allowed) == NB201.edge_names
    assert [set(names) for names in allowed.values()] == EXPECTED[name]
    assert entry.cells() == len(list(product(*EXPECTED[name])))
    assert entry.tabulated() == (name != "nasbench201_s4")


def test_minimal_has_the_125_cells_of_the_paper() -> None:
    assert space_entry("nasbench201_minimal").cells() == 125


@pytest.mark.parametrize("name", EXPECTED)
def test_the_model_space_has_the_choices_that_the_entry_says(name: str) -> None:
    space = build_space(name, channels=4, cells=1, num_classes=3)
    choices = space.simplify()
    assert list(choices) == [f"cell/{edge.replace('-', '_')}" for edge in NB201.edge_names]
    found = [set(choice.values) for choice in choices.values()]
    assert found == EXPECTED[name]


def test_override_replaces_edge_by_edge_and_star_replaces_all() -> None:
    entry = space_entry("nasbench201_s2")
    named = entry.operations({"1-2": [NONE, SKIP]})
    assert named["1-2"] == (NONE, SKIP)
    assert {names for edge, names in named.items() if edge != "1-2"} == {(SKIP, CONV)}
    everywhere = entry.operations({"*": [NONE], "0-1": [CONV]})
    assert everywhere["0-1"] == (CONV,)
    assert {names for edge, names in everywhere.items() if edge != "0-1"} == {(NONE,)}
    assert entry.cells({"*": [NONE, SKIP]}) == 64


def test_override_with_noise_has_no_truth() -> None:
    assert not space_entry("nasbench201").tabulated({"0-1": ["noise", SKIP]})
    assert space_entry("nasbench201_s4").tabulated({"*": [NONE, SKIP]})


def test_a_space_of_the_same_graph_and_fewer_operations_has_a_benchmark_of_its_own() -> None:
    entry = space_entry("transnas101_micro")
    assert entry.graph == NB201 and entry.cells() == 4**6
    assert {*entry.operations().values()} == {(NONE, SKIP, "nor_conv_1x1", CONV)}
    assert entry.truth_benchmark() == "transnas101_micro"
    assert entry.truth_benchmark({"*": [NONE, CONV]}) == "transnas101_micro"
    assert entry.truth_benchmark({"0-1": ["avg_pool_3x3"]}) is None
    assert not entry.tabulated({"0-1": ["noise"]})
    own = SpaceEntry("own", "of the benchmark's graph and operations, named for none", NB201)
    assert own.truth_benchmark() is None and not own.tabulated()
    with pytest.raises(SpaceError, match="'nowhere' is not known; allowed: nasbench201"):
        SpaceEntry("own", "", NB201, benchmark="nowhere").tabulated()


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(SpaceError, match="nasbench202.*nasbench201_minimal"):
        space_entry("nasbench202")
