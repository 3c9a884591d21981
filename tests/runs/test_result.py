"""Results: what is written is read back, old and foreign ones as far as they can be understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hostile_values import HOSTILE

from nni_wiring.records import DerivedCell, Score, Truth
from nni_wiring.runs.result import SearchResult, SelectionResult
from nni_wiring.runs.store import RunFolder
from search_spaces.cell_graph import NB201, Wiring

OLD_RUN = Path(__file__).resolve().parents[1] / "support" / "run_of_0_1_0"
OLD: dict[str, Any] = json.loads((OLD_RUN / "result.json").read_text())
#: What a result.json had before results were typed; scripts read these.
KEYS = {
    *("run_id", "arch", "selection", "truth", "topology", "config", "truth_dataset", "default"),
    "data_note",
}
WIRING = Wiring(NB201, ("nor_conv_3x3", "none", "skip_connect", *["nor_conv_1x1"] * 3))
TRUTH = Truth({("cifar10", "valid"): Score(90.5, 12, 99.0, 0.5), ("cifar10", "test"): Score()}, 7)
CELL = DerivedCell(
    "cell",
    dict(zip(NB201.edge_names, WIRING.operations, strict=True)),
    NB201,
    WIRING.arch,
    {"width": 1.5, "depth": 3, "connected": True},
    TRUTH,
)
FIELDS: dict[str, Any] = {
    "run_id": "darts-s1",
    "truth_dataset": "cifar10",
    "arch": CELL.arch,
    "topology": CELL.topology,
    "truth": TRUTH,
    "cells": {"cell": CELL},
}
RESULT = SearchResult(
    **FIELDS,
    selection="perturbation",
    config={"strategy": "darts", "clip": None},
    default=90.5,
    selection_details={"trace": [{"edge": "0-1", "masked": {"none": 40.0}}]},
    data_note="searched on digits",
)


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return loaded


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "darts-s1", {})
    assert run.search_result() is None
    run.write_result(RESULT)
    assert run.search_result() == RESULT
    assert run.result() == through_json(RESULT.to_json())
    assert set(RESULT.to_json()) == KEYS | {"cells", "selection_details"}


def test_a_search_that_found_no_known_cell() -> None:
    empty = SearchResult(run_id="r", selection="magnitude", truth_dataset="cifar10", config={})
    value = empty.to_json()
    assert set(value) == KEYS | {"cells"}  # and no selection_details
    assert value["truth"] is value["topology"] is value["arch"] is None
    assert SearchResult.from_json(through_json(value)) == empty
    assert empty.true_accuracy() is None


def test_reads_what_0_1_0_wrote() -> None:
    found = SearchResult.from_json(OLD)
    for name in ("run_id", "arch", "selection", "topology", "config", "truth_dataset", "default"):
        assert getattr(found, name) == OLD[name]
    assert found.truth is not None and found.truth.index == OLD["truth"]["index"]
    assert found.true_accuracy() == OLD["truth"]["accuracy"][OLD["truth_dataset"]]["valid"]
    assert found.true_accuracy("test") is None
    written = found.to_json()
    for name in ("accuracy", "rank", "percentile", "regret"):
        assert written["truth"][name] == OLD["truth"][name]
    assert set(OLD) <= set(written)


@pytest.mark.parametrize("key", sorted({*KEYS, "cells", "selection_details"}))
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:30])
def test_a_foreign_part_is_left_out_and_hides_no_other(key: str, value: Any) -> None:
    whole = RESULT.to_json()
    found = SearchResult.from_json({**whole, key: value})
    for name in KEYS - {key}:
        assert getattr(found, name) == getattr(RESULT, name)
    json.dumps(found.to_json(), allow_nan=False)
    found.true_accuracy()


def test_a_later_selections_result_has_the_keys_that_it_had() -> None:
    result = SelectionResult(
        **FIELDS,
        selection="magnitude",
        operations={"cell": dict(CELL.operations)},
        settings={"batches": 2},
        details={},
    )
    value = through_json(result.to_json())
    assert set(value) == {
        *("run_id", "selection", "settings", "truth_dataset", "details"),
        *("arch", "topology", "truth", "operations", "cells"),
    }
    assert tuple(value["operations"]["cell"].values()) == WIRING.operations
    assert value["truth"]["accuracy"] == {"cifar10": {"valid": 90.5, "test": None}}
