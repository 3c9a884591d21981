"""Records as arrays: hand-computed costs, and foreign content that must not get in the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synthetic_runs import record as line

from nni_wiring.figures import series
from nni_wiring.figures.kinds import CellKind
from nni_wiring.records import EpochRecord
from search_spaces.cell_graph import NB201

CELL = CellKind("cell", NB201.edge_names, NB201.edge_names, NB201)


def record(row: str, epoch: int) -> EpochRecord:
    return EpochRecord.from_json(line(row, epoch))


def read(**parts: Any) -> EpochRecord:
    return EpochRecord.from_json({"epoch": 0, **parts})


def test_edge_series_keeps_order_and_marks_gaps() -> None:
    records = [record("cccccc", 0), EpochRecord(1), record("......", 2)]
    found = series.edge_series(records, series.alpha, CELL)
    assert found.epochs.tolist() == [0, 1, 2]
    assert list(found.values) == list(NB201.edge_names)
    np.testing.assert_array_equal(found.values["0-1"]["nor_conv_3x3"], [0.5, np.nan, 0.0])
    np.testing.assert_array_equal(found.values["0-1"]["none"], [0.0, np.nan, 0.52])


def test_edge_cost_is_the_z_weighted_sum() -> None:
    z = {"0-1": {"none": 0.5, "skip_connect": 0.3, "nor_conv_3x3": 0.2}}
    cost = {"0-1": {"none": 0.0, "skip_connect": -2.0, "nor_conv_3x3": None}}
    records = [read(z=z, cost={"alpha": {"mean": cost}})]
    found = series.edge_costs(
        series.edge_series(records, series.z, CELL),
        series.edge_series(records, series.mean_cost("alpha"), CELL),
    )
    assert found["0-1"].tolist() == pytest.approx([0.3 * -2.0])


def test_cell_costs_take_operations_by_name() -> None:
    """Two allowed operations, listed both ways: only the allowed ones, and all five with nulls."""
    z = {edge: {"none": 0.25, "nor_conv_3x3": 0.75} for edge in NB201.edge_names}
    short, full = [[0.0, 4.0]] * 6, [[0.0, None, None, 4.0, None]] * 6
    for cells in ([short, short], [full, full]):
        found = series.cell_costs(read(z=z, cost_cells={"alpha": cells}))
        assert found is not None and found.phase == "alpha"
        np.testing.assert_allclose(found.values, np.full((2, 6), 3.0))


def test_cell_costs_of_edges_that_allow_different_operations() -> None:
    """Columns are the union of the edges' operations in order of appearance, here a, b, c."""
    z = {"0-2": {"a": 0.5, "b": 0.5}, "1-2": {"b": 0.25, "c": 0.75}}
    cell = [[1.0, 3.0, None], [None, 4.0, 8.0]]
    found = series.cell_costs(read(z=z, cost_cells={"alpha": [cell]}))
    assert found is not None and found.edges == ("0-2", "1-2")
    assert found.values.tolist() == [[0.5 + 1.5, 1.0 + 6.0]]


def test_cell_costs_fall_back_on_the_weight_step() -> None:
    z = {edge: {"none": 0.5, "skip_connect": 0.5} for edge in NB201.edge_names}
    cells = {"alpha": None, "weights": [[[0.0, -1.0]] * 6]}
    found = series.cell_costs(read(z=z, cost_cells=cells))
    assert found is not None and found.phase == "weights"
    assert found.values.tolist() == [[-0.5] * 6]


def test_history_ends_at_the_first_gap() -> None:
    records = [record("cccccc", 0), record("ssssss", 1), EpochRecord(2), record("cccccc", 3)]
    found = series.states(records, CELL)
    assert [state["0-1"] for state in found] == ["nor_conv_3x3", "skip_connect"]


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        7,
        "text",
        [],
        {"0-1": 3},
        {"0-1": {"none": "x"}},
        {"9-9": {"none": 1.0}},
        {"0-1": {str(k): 1.0 for k in range(1000)}},
        {"0-1": {"none": 10**400}},
    ],
)
def test_foreign_content_is_nan_or_nothing(foreign: object) -> None:
    names = ("alpha", "z", "cost_cells")
    one = read(cost={"alpha": {"mean": foreign}}, **dict.fromkeys(names, foreign))
    for reader in (series.alpha, series.z, series.mean_cost("alpha")):
        for row in series.edge_series([one], reader, CELL).values.values():
            assert all(np.isnan(values).all() for values in row.values())
    assert series.states([one], CELL) == []
    assert series.cell_costs(one) is None


@pytest.mark.parametrize("value", [None, "1", [1], {}, 10**400])
def test_costs_of_cells_that_are_no_numbers_are_left_out(value: object) -> None:
    z = {"0-1": {"a": 0.5, "b": 0.5}}
    found = series.cell_costs(read(z=z, cost_cells={"alpha": [[[2.0, value]], value, [value]]}))
    assert found is not None
    np.testing.assert_array_equal(found.values, [[1.0], [np.nan], [np.nan]])
