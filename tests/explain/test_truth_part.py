"""The part of an explanation that comes from the table, against the table read directly."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from nni_wiring.errors import BenchmarkError, SpaceError
from nni_wiring.explain import explain
from nni_wiring.truth import BENCHMARKS, TruthTable
from nni_wiring.truth.metrics import Metric, MetricKey, TableData
from search_spaces.cell_graph import NB201, OPERATIONS, all_cells, cell_code, format_arch

ALL_SKIP = format_arch([1] * 6)
Build = Callable[[np.ndarray], TruthTable]


def rounded(table: TruthTable, split: str = "valid") -> np.ndarray:
    return table.values("cifar10", split).astype(np.float64).round(4)


def with_operation(arch: str, place: int, operation: str) -> str:
    """The arch string with another operation on one edge, by text alone."""
    nodes = [node.strip("|").split("|") for node in arch.split("+")]
    terms = [term for node in nodes for term in node]
    terms[place] = f"{operation}~{terms[place].split('~')[1]}"
    parts = iter(terms)
    return "+".join(f"|{'|'.join(next(parts) for _ in node)}|" for node in nodes)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("v11", [12.61, 9.18, 8.77, 0, 9.25, 12.03]),
        ("bundled", [12.61, 9.18, 8.74, 0, 9.26, 12.05]),  # NATS-Bench has seeds more
    ],
)
def test_all_skip_on_cifar10_validation(
    name: str, shares: list[float], request: pytest.FixtureRequest
) -> None:
    found = explain(ALL_SKIP, request.getfixturevalue(name), "cifar10", "valid")
    assert [edge.edge for edge in found.edges] == ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"]
    assert found.accuracy == pytest.approx(39.77, abs=0.005)
    assert found.regret == pytest.approx(51.84, abs=0.005)
    assert found.best is not None
    assert (found.best.index, found.best.ties) == (6111, 1)
    assert [round(edge.shapley or 0, 2) for edge in found.edges] == pytest.approx(shares)
    repair = found.repairs[0]
    assert dict(repair.changes) == {"2-3": "nor_conv_3x3"}
    assert repair.accuracy == pytest.approx(85.16, abs=0.005)
    assert [edge.edge for edge in found.worst_first] == ["0-1", "2-3", "1-3", "0-2", "1-2", "0-3"]


@pytest.mark.parametrize("index", [0, 11, 1462, 7860, 15_624])
def test_attribution_is_the_mean_over_all_orders_of_adopting_the_best_cell(
    index: int, bundled: TruthTable
) -> None:
    found = explain(index, bundled)
    values, best = rounded(bundled), bundled.optimum("cifar10", "valid")
    assert found.best is not None and found.best.index == best.index
    start, goal = bundled.operations[index], bundled.operations[best.index]
    shares = np.zeros(6)
    for order in permutations(range(6)):
        cell = start.copy()
        for edge in order:
            before = values[bundled.index_of(cell)]
            cell[edge] = goal[edge]
            shares[edge] += values[bundled.index_of(cell)] - before
    given = [edge.shapley for edge in found.edges]
    np.testing.assert_allclose(np.array(given, dtype=float), shares / 720, atol=1e-9)
    assert math.fsum(share or 0.0 for share in given) == pytest.approx(found.regret, abs=1e-10)
    for edge, old, new in zip(found.edges, start, goal, strict=True):
        assert (edge.operation, edge.best_operation) == (OPERATIONS[old], OPERATIONS[new])
        if old == new:
            assert edge.shapley == 0.0


def test_regret_is_the_tables(bundled: TruthTable) -> None:
    for dataset in ("cifar10", "cifar100", "imagenet16"):
        regret = bundled.regret(dataset, "valid")
        for index in (5, 8000, 15_000):
            found = explain(index, bundled, dataset)
            assert found.regret == pytest.approx(regret[index], abs=1e-9)
            assert (found.dataset, found.split, found.index) == (dataset, "valid", index)


def test_choices_are_the_accuracies_of_the_one_edit_neighbours(bundled: TruthTable) -> None:
    arch = bundled.arch(4711)
    values = rounded(bundled)
    for place, edge in enumerate(explain(arch, bundled).edges):
        assert list(edge.choices) == list(OPERATIONS)
        for name, accuracy in edge.choices.items():
            neighbour = with_operation(arch, place, name)
            assert accuracy == pytest.approx(values[bundled.index_of(neighbour)], abs=1e-9)
        assert edge.choices[edge.operation or ""] == explain(arch, bundled).accuracy


@pytest.mark.parametrize("index", [0, 1835, 6111, 7860, 9930])
def test_repairs_are_the_best_of_all_cells_within_two_edits(
    index: int, bundled: TruthTable
) -> None:
    values = rounded(bundled)
    distance = (bundled.operations != bundled.operations[index]).sum(axis=1)
    found = explain(index, bundled)
    one, two = (values[distance <= edits].max() for edits in (1, 2))
    expected = ([one] if one > values[index] else []) + ([two] if two > one else [])
    assert [repair.accuracy for repair in found.repairs] == expected
    for edits, repair in enumerate(found.repairs, start=1):
        assert len(repair.changes) == edits
        assert values[bundled.index_of(repair.arch)] == repair.accuracy
        assert repair.gain == pytest.approx(repair.accuracy - values[index], abs=1e-9)
        arch = found.arch or ""
        for edge, name in repair.changes.items():
            arch = with_operation(arch, NB201.edge_index(edge), name)
        assert arch == repair.arch


def test_the_best_cell_needs_no_repair_and_loses_nothing(bundled: TruthTable) -> None:
    found = explain(6111, bundled)
    assert (found.regret, found.repairs) == (0.0, ())
    assert [edge.shapley for edge in found.edges] == [0.0] * 6


def test_of_equal_best_cells_the_nearest_is_taken_and_it_is_said(made_up: Build) -> None:
    cells = all_cells().astype(int)
    best = [[3, 3, 3, 3, 3, 3], [1, 1, 1, 1, 3, 2], [1, 1, 1, 1, 2, 3]]
    accuracies = 10.0 + cells.sum(axis=1)
    accuracies[[int(cell_code(cell)) for cell in best]] = 90.0
    found = explain([1, 1, 1, 1, 1, 1], made_up(accuracies))
    assert found.best is not None and found.best.ties == 3
    assert found.best.arch == format_arch(best[2])  # the smaller index of the two at distance 2
    assert any("3 cells tie for best" in note for note in found.notes)
    assert explain([3] * 6, made_up(accuracies)).best == found.best.__class__(
        format_arch(best[0]), int(cell_code(best[0])), 90.0, 3
    )


def test_where_only_one_edge_matters_it_has_the_whole_regret(made_up: Build) -> None:
    cells = all_cells().astype(int)
    accuracies = np.where(cells[:, 4] == 2, 80.0, 30.0)
    found = explain([0] * 6, made_up(accuracies))
    assert {edge.edge: edge.shapley for edge in found.edges} == {
        **dict.fromkeys(NB201.edge_names, 0.0),
        "1-3": pytest.approx(50.0),
    }
    assert [dict(repair.changes) for repair in found.repairs] == [{"1-3": "nor_conv_1x1"}]


def test_missing_cells_are_named_and_never_guessed(made_up: Build) -> None:
    cells = all_cells().astype(int)
    accuracies = 10.0 + cells @ np.array([1, 2, 3, 4, 5, 6])
    accuracies[int(cell_code([4, 0, 0, 0, 0, 0]))] = np.nan
    found = explain([0] * 6, made_up(accuracies))
    assert all(edge.shapley is None for edge in found.edges) and not found.attributed
    assert found.edges[0].choices["avg_pool_3x3"] is None
    assert found.edges[0].choices["nor_conv_3x3"] == 13.0
    assert any("no attribution" in note for note in found.notes)
    with pytest.raises(BenchmarkError, match=r"'made-up' has no accuracy cifar10 valid of cell"):
        explain([4, 0, 0, 0, 0, 0], made_up(accuracies))


def test_json_form(bundled: TruthTable) -> None:
    value = explain(ALL_SKIP, bundled).to_json()
    assert value["arch"] == ALL_SKIP
    assert value["best"]["accuracy"] - value["accuracy"] == pytest.approx(value["regret"])
    assert {"arch", "accuracy"} <= set(value["best"])
    edge = value["edges"][0]
    assert {"edge", "operation", "best_operation", "shapley", "choices"} <= set(edge)
    assert set(edge["choices"]) == set(OPERATIONS)
    assert value["repairs"][0]["changes"] == {"2-3": "nor_conv_3x3"}


@pytest.mark.parametrize(
    ("arch", "dataset", "split", "message"),
    [
        ("|none~0|", None, None, "1 node"),
        (15_625, None, None, "allowed: 0..15624"),
        ("9" * 5000, None, None, "does not exist"),
        (3, "cifar11", None, "unknown data set 'cifar11' of NAS-Bench-201; allowed: cifar10"),
        (3, "cifar10", "tests", "unknown split 'tests' of NAS-Bench-201; allowed: valid, test"),
        (3, "cifar10", "test", "'bundled' has no accuracy cifar10/test"),
    ],
)
def test_bad_input_is_one_line(
    arch: str | int, dataset: str | None, split: str | None, message: str, bundled: TruthTable
) -> None:
    with pytest.raises((BenchmarkError, SpaceError), match=message) as caught:
        explain(arch, bundled, dataset, split)
    assert "\n" not in str(caught.value)


def test_a_cell_without_a_table_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="explained by its truth"):
        explain(3, None)


def test_a_measure_of_which_less_is_better_is_refused() -> None:
    micro = BENCHMARKS["transnas101_micro"]
    codes = np.arange(micro.cells)
    metric = Metric(np.linspace(0.1, 0.9, micro.cells).astype(np.float32))
    key = MetricKey("room_layout", "valid", micro.full_epochs("room_layout"))
    table = TruthTable("loss", TableData(codes, {key: metric}, benchmark=micro))
    with pytest.raises(BenchmarkError, match="room_layout of .* is measured in L2 loss: explained"):
        explain(3, table, "room_layout", "valid")
