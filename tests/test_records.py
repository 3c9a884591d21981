"""Records: what this version writes and reads, what 0.1.0 wrote, and what nobody should write."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hostile_values import HOSTILE

from nni_wiring.records import DerivedCell, EpochRecord, Score, Truth
from search_spaces.cell_graph import NB201

OLD_RUN = Path(__file__).parent / "support" / "run_of_0_1_0"
OLD_LINES = (OLD_RUN / "epochs.jsonl").read_text().splitlines()


def old_values() -> list[dict[str, Any]]:
    return [json.loads(line) for line in OLD_LINES]


@pytest.mark.parametrize("value", old_values(), ids=lambda value: f"epoch{value['epoch']}")
def test_reads_all_that_0_1_0_wrote(value: dict[str, Any]) -> None:
    record = EpochRecord.from_json(value)
    assert (record.epoch, record.seconds, record.arch) == (
        value["epoch"],
        value["seconds"],
        value["arch"],
    )
    for name in ("loss", "entropy", "accuracy", "alpha", "z", "topology", "pattern"):
        assert getattr(record, name) == value[name]
    assert {phase: moments.to_json() for phase, moments in record.cost.items()} == value["cost"]
    assert record.truth is not None and record.truth_expected is not None
    for dataset, splits in value["truth"]["accuracy"].items():
        for split, accuracy in splits.items():
            found = record.truth.at(dataset, split)
            assert found.accuracy == accuracy
            assert found.rank == value["truth"]["rank"][dataset][split]
            assert found.regret == value["truth"]["regret"][dataset][split]
            expected = value["truth_expected"]["accuracy"][dataset][split]
            assert record.truth_expected.at(dataset, split) == Score(accuracy=expected)
    assert record.truth.benchmark == "nasbench201"
    assert record.truth.at("cifar10", "nowhere") == Score()


@pytest.mark.parametrize("line", OLD_LINES)
def test_what_is_written_is_read_back(line: str) -> None:
    record = EpochRecord.from_json(json.loads(line))
    cell = DerivedCell("cell", {"0-1": "none"}, NB201, "|none~0|", {"depth": 1}, record.truth)
    record = EpochRecord(**{**vars(record), "cells": {"cell": cell}, "statistics": {"mine": [1]}})
    assert EpochRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("key", sorted({*old_values()[0], "cells", "statistics"} - {"epoch"}))
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:30])
def test_a_foreign_part_is_left_out_and_hides_no_other(key: str, value: Any) -> None:
    whole = old_values()[-1]
    record = EpochRecord.from_json({**whole, key: value})
    expected = EpochRecord.from_json(whole)
    assert record.epoch == expected.epoch
    for name in ("loss", "alpha", "truth", "topology"):
        if name != key:
            assert getattr(record, name) == getattr(expected, name)
    json.dumps(record.to_json(), allow_nan=False)


@pytest.mark.parametrize("epoch", [None, -1, 1.5, "3", True, 2**40, math.nan])
def test_no_epoch_is_no_record(epoch: Any) -> None:
    with pytest.raises(ValueError, match="epoch number"):
        EpochRecord.from_json({"epoch": epoch})


def test_other_things_are_no_truth() -> None:
    for value in (None, 3, [], {}, {"accuracy": 90.0}, "truth"):
        assert Truth.from_json(value) is None
    assert Truth.from_json({"accuracy": {"cifar10": {"valid": 90.0}}}) == Truth(
        {("cifar10", "valid"): Score(90.0)}
    )
