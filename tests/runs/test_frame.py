"""A run as a DataFrame: every number of ``epochs.jsonl`` at its place."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_wiring.records import DerivedCell, EpochRecord
from nni_wiring.runs.frame import frame_of
from nni_wiring.runs.store import RunFolder

OLD = Path(__file__).resolve().parents[1] / "support" / "run_of_0_1_0"


def dig(record: dict[str, Any], *keys: str) -> Any:
    for key in keys:
        record = record[key]
    return record


@pytest.mark.parametrize(
    ("column", "path"),
    [
        ("seconds", ("seconds",)),
        ("arch", ("arch",)),
        ("loss/train", ("loss", "train")),
        ("accuracy/search", ("accuracy", "search")),
        ("gradient_norm/alpha", ("gradient_norm", "alpha")),
        ("alpha/0-1/skip_connect", ("alpha", "0-1", "skip_connect")),
        ("z/2-3/none", ("z", "2-3", "none")),
        ("cost/alpha/1-2/nor_conv_3x3", ("cost", "alpha", "mean", "1-2", "nor_conv_3x3")),
        ("cost_variance/weights/0-3/none", ("cost", "weights", "variance", "0-3", "none")),
        ("topology/depth", ("topology", "depth")),
        ("topology_expected/width", ("topology_expected", "width")),
        ("truth/cifar10/valid", ("truth", "accuracy", "cifar10", "valid")),
        ("truth/cifar100/rank_valid", ("truth", "rank", "cifar100", "valid")),
        ("truth/cifar10/regret_valid", ("truth", "regret", "cifar10", "valid")),
        ("truth/imagenet16/percentile_valid", ("truth", "percentile", "imagenet16", "valid")),
        ("truth_expected/cifar10/valid", ("truth_expected", "accuracy", "cifar10", "valid")),
        ("pattern/growing_index", ("pattern", "growing_index")),
    ],
)
def test_a_column_holds_what_the_file_says(column: str, path: tuple[str, ...]) -> None:
    lines = [json.loads(line) for line in (OLD / "epochs.jsonl").read_text().splitlines()]
    frame = RunFolder.open(OLD).to_frame()
    assert frame.index.name == "epoch" and list(frame.index) == [line["epoch"] for line in lines]
    for found, line in zip(frame[column], lines, strict=True):
        expected = dig(line, *path)
        assert found == expected or (expected is None and found is None) or math.isnan(found)
        assert (expected is None) == (not isinstance(found, str) and np.isnan(found))


def test_epochs_that_know_different_things_share_a_frame() -> None:
    cell = DerivedCell("normal", {"0-2": "none"})
    frame = frame_of(
        [
            EpochRecord(0, loss={"train": 2.0}, cells={"normal": cell}),
            EpochRecord(2, loss={"search": 1.0}, statistics={"x": {"a": 1, "b": {"c": 2.5}}}),
        ]
    )
    assert list(frame.index) == [0, 2]
    assert frame["loss/train"].tolist()[0] == 2.0 and math.isnan(frame["loss/train"][2])
    assert frame["loss/search"][2] == 1.0 and frame["cell/normal/0-2"][0] == "none"
    assert frame["statistics/x/a"][2] == 1 and frame["statistics/x/b/c"][2] == 2.5


def test_a_run_without_epochs_is_an_empty_frame() -> None:
    frame = frame_of([])
    assert len(frame) == 0 and frame.index.name == "epoch"
