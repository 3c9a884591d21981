"""Table files of this and of the earlier format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import BENCHMARKS, NASBENCH201, Benchmark
from nni_wiring.truth.metrics import Metric, MetricKey, TableData
from nni_wiring.truth.storage import read_table, save_table


def write(path: Path, header: dict[str, Any], cells: int) -> Path:
    """A table file by NumPy alone: its one metric is the cell's index / 1000."""
    arrays = {"codes": np.arange(cells, dtype=np.int16), "mean0": np.arange(cells) / 1000}
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, header=text, **arrays)
    return path


def header(**changes: Any) -> dict[str, Any]:
    metrics = [["cifar10", "valid", 200, False]]
    return {"format": 1, "metrics": metrics, "costs": [], "info": {"kind": "x"}, **changes}


def test_a_file_of_the_first_format_is_of_nasbench201(tmp_path: Path) -> None:
    data = read_table(write(tmp_path / "old.npz", header(), 15_625))
    assert data.benchmark is NASBENCH201 and data.info == {"kind": "x"}
    np.testing.assert_allclose(
        data.metrics[MetricKey("cifar10", "valid", 200)].mean, np.arange(15_625) / 1000, rtol=1e-6
    )


@pytest.mark.parametrize("one", BENCHMARKS.values(), ids=lambda one: one.name)
def test_what_is_written_is_read_back(one: Benchmark, tmp_path: Path) -> None:
    values = np.linspace(0, 1, one.cells, dtype=np.float32)
    dataset = one.dataset_names[-1]
    key = MetricKey(dataset, "test", one.full_epochs(dataset))
    save_table(tmp_path / "t.npz", TableData(one.order(), {key: Metric(values)}, benchmark=one))
    found = read_table(tmp_path / "t.npz")
    assert found.benchmark is one and list(found.metrics) == [key]
    np.testing.assert_array_equal(found.codes, one.order())
    np.testing.assert_array_equal(found.metrics[key].mean, values)


@pytest.mark.parametrize(
    ("changes", "cells", "expected"),
    [
        ({"format": 2}, 15_625, "'benchmark'"),
        ({"format": 2, "benchmark": "nb301"}, 15_625, "'nb301' is not known"),
        ({"format": 2, "benchmark": ["a"]}, 15_625, "is not known"),
        ({"format": 3, "benchmark": "nasbench201"}, 15_625, "not a table file of this version"),
        ({"format": 2, "benchmark": "transnas101_micro"}, 15_625, "not the 4096 of TransNAS"),
        ({"format": 2, "benchmark": "transnas101_micro"}, 4_096, "unknown data set 'cifar10'"),
        ({}, 4_096, "not the 15625 of NAS-Bench-201"),
    ],
)
def test_a_file_that_fits_no_benchmark_is_one_line(
    changes: dict[str, Any], cells: int, expected: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "bad.npz", header(**changes), cells)
    with pytest.raises(BenchmarkError, match=f"bad.npz: not a readable table file .*{expected}"):
        read_table(path)


BUILT = {
    "name": "own",
    "cells": "nasbench201",
    "space": None,
    "dataset": "grey",
    "data": ["npz:grey.npz"],
    "images": 24,
    "epochs": [1, 3],
    "network": [4, 1],
    "optimiser": "SGD",
    "settings": {"lr": 0.1},
}


def test_a_table_brings_the_benchmark_that_a_user_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path))
    changes = {"format": 2, "benchmark": "own", "built": BUILT}
    metrics = [["grey", "test", 3, False]]
    (tmp_path / "tables").mkdir()
    assert "own" not in BENCHMARKS
    path = write(tmp_path / "tables/own.npz", header(**changes, metrics=metrics), 15_625)
    data = read_table(path)
    assert data.benchmark is BENCHMARKS["own"] and "own" not in list(BENCHMARKS)
    assert (data.benchmark.name, data.benchmark.family) == ("own", "nasbench201")
    assert data.benchmark.dataset("grey").protocol.full_epochs == 3
    assert data.benchmark.codec.parse(NASBENCH201.codec.spell([1] * 6)) == (1,) * 6
    save_table(tmp_path / "again.npz", data)
    assert read_table(tmp_path / "again.npz").benchmark is data.benchmark


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cells": "nb301"}, "its cells are those of 'nb301', which is not known"),
        ({"epochs": []}, "epochs"),
        ({"name": "../own"}, "name"),
        ({"images": "many"}, "images"),
        ({"more": 1}, "more"),
        ({"optimiser": "a\nb"}, "optimiser"),
    ],
)
def test_a_malformed_built_benchmark_is_one_line(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    built = {"format": 2, "benchmark": "own", "built": {**BUILT, **changes}}
    path = write(tmp_path / "bad.npz", header(**built), 15_625)
    with pytest.raises(BenchmarkError, match=expected) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
