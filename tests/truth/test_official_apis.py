"""The real records in the official layouts, against the answers of the official APIs."""

from __future__ import annotations

import collections
import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy._core import multiarray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import TruthTable, load_table
from nni_wiring.truth.curves import CurveKey
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.sources.official_records import RUNS

PTH = ("nb201_tiny3.pth", "nb201_tiny3_legacy.pth", "nb201_tiny3_official_like.pth")
CELLS = (0, 11, 284)
NATS = "NATS-tss-v1_0-3ffb9-simple"
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "ImageNet16-120"}


def official_api(path: Path) -> Any:
    torch = pytest.importorskip("torch")
    api = pytest.importorskip("nas_201_api", reason="pip install nas-bench-201")
    plain = [
        collections.OrderedDict,
        set,
        np.dtype,
        multiarray.scalar,
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
        type(np.dtype(np.float64)),
        __import__("_codecs").encode,
    ]
    with torch.serialization.safe_globals(plain), redirect_stdout(io.StringIO()):
        return api.NASBench201API(torch.load(path, weights_only=True), verbose=False)


def nats_api(path: Path) -> Any:
    api = pytest.importorskip("nats_bench", reason="pip install nats_bench")
    with redirect_stdout(io.StringIO()):
        return api.create(str(path), "tss", fast_mode=True, verbose=False)


@lru_cache
def imported(path: Path, name: str) -> TruthTable:
    import_table(path, name, partial=True, make_default=False)
    return load_table(name)


def all_points(api: Any, index: int) -> Iterator[tuple[CurveKey, int, int, float]]:
    """Every accuracy and loss that the API gives for one cell: key, seed, epoch, value."""
    for hp in ("12", "200"):
        for run in RUNS:
            result = api.arch2infos_dict[index][hp]
            for seed in result.get_dataset_seeds(run):
                for epoch in range(int(hp)):
                    info = api.get_more_info(index, run, iepoch=epoch, hp=hp, is_random=seed)
                    for images, prefix in _prefixes(run).items():
                        for quantity in ("accuracy", "loss"):
                            if f"{prefix}-{quantity}" in info:
                                key = CurveKey(run, images, quantity, int(hp))
                                yield key, seed, epoch, info[f"{prefix}-{quantity}"]


def _prefixes(run: str) -> dict[str, str]:
    """What the API calls the images of a training."""
    if run in ("cifar10-valid", "cifar10"):
        valid = {"x-valid": "valid"} if run == "cifar10-valid" else {}
        return {"train": "train", "ori-test": "test", **valid}
    return {"train": "train", "x-valid": "valid", "x-test": "test", "ori-test": "valtest"}


def compare(table: TruthTable, api: Any, positions: dict[int, int]) -> int:
    """Compare every point of every cell both ways; returns the number of points."""
    total = 0
    for position, cell in positions.items():
        expected: dict[tuple[CurveKey, int], dict[int, float]] = collections.defaultdict(dict)
        for key, seed, epoch, value in all_points(api, position):
            expected[key, seed][epoch] = value
        ours = {(key, seed) for key in table.curves.keys for seed in table.curves.seeds(cell, key)}
        assert ours == set(expected)
        for (key, seed), points in expected.items():
            curve = table.curves.get(cell, key, seed)
            assert set(np.flatnonzero(np.isfinite(curve))) == set(points)
            np.testing.assert_allclose(curve[list(points)], list(points.values()), rtol=1e-6)
            total += len(points)
    return total


def test_every_point_of_the_pth_equals_the_official_api(shared_data: Path) -> None:
    table = imported(shared_data / PTH[2], "official_like")
    api = official_api(shared_data / PTH[2])
    positions = {api.query_index_by_arch(table.arch(cell)): cell for cell in CELLS}
    assert compare(table, api, positions) > 20_000


def test_every_point_of_the_folder_equals_nats_bench(shared_data: Path) -> None:
    table = imported(shared_data / NATS, "nats3")
    api = nats_api(shared_data / NATS)
    for cell in CELLS:
        api.query_info_str_by_arch(cell)
    assert compare(table, api, {cell: cell for cell in CELLS}) > 20_000


@pytest.mark.parametrize("name", [PTH[0], NATS])
def test_means_over_seeds_and_seconds(shared_data: Path, name: str) -> None:
    table = imported(shared_data / name, name.split(".")[0])
    api = nats_api(shared_data / name) if name == NATS else official_api(shared_data / name)
    for cell in CELLS:
        position = api.query_index_by_arch(table.arch(cell))
        for hp in (12, 200):
            for dataset, run in DATASETS.items():
                training = "cifar10-valid" if dataset == "cifar10" else run
                info = api.get_more_info(position, training, hp=str(hp), is_random=False)
                valid = table.values(dataset, "valid", hp)[cell]
                assert valid == pytest.approx(info["valid-accuracy"], abs=1e-4)
                cost = info["train-all-time"] + info["valid-per-time"]
                assert table.seconds(dataset, hp)[cell] == pytest.approx(cost, rel=1e-5)
                info = api.get_more_info(position, run, hp=str(hp), is_random=False)
                test = table.values(dataset, "test", hp)[cell]
                assert test == pytest.approx(info["test-accuracy"], abs=1e-4)


def test_queries_for_a_seed_and_an_epoch(shared_data: Path) -> None:
    table = imported(shared_data / NATS, "nats3")
    api = nats_api(shared_data / NATS)
    info = api.get_more_info(11, "cifar10-valid", iepoch=150, hp="200", is_random=888)
    answer = table.query_one(11, 200, seed=888, epoch=150)
    assert answer["accuracy"]["cifar10"]["valid"] == pytest.approx(info["valid-accuracy"], abs=1e-4)
    assert answer["accuracy"]["cifar100"]["valid"] is None
    assert answer["rank"]["cifar10"]["valid"] is None
    last = table.query_one(11, 200, seed=888)["accuracy"]["cifar100"]["test"]
    info = api.get_more_info(11, "cifar100", hp="200", is_random=888)
    assert last == pytest.approx(info["test-accuracy"], abs=1e-4)
    assert table.query_one(11, 200, seed=5)["accuracy"]["cifar10"]["valid"] is None
    with pytest.raises(BenchmarkError, match=r"0\.\.199"):
        table.query_one(11, 200, epoch=200)
    with pytest.raises(BenchmarkError, match="no per-epoch curves"):
        load_table("bundled").query_one(11, 200, epoch=3)


def test_the_three_containers_give_one_table(shared_data: Path) -> None:
    first, *others = [imported(shared_data / name, name.split(".")[0]) for name in PTH]
    for other in others:
        for key, metric in first.data.metrics.items():
            np.testing.assert_array_equal(metric.mean, other.data.metrics[key].mean)
        for key in first.curves.keys:
            for seed in first.curves.seeds(11, key):
                curves = [table.curves.get(11, key, seed) for table in (first, other)]
                np.testing.assert_array_equal(*curves)


def test_parameters_and_flops_equal_the_records(shared_data: Path) -> None:
    from nni_wiring.truth import flops, parameters

    api = official_api(shared_data / PTH[0])
    table = load_table("bundled")
    for cell in CELLS:
        position = api.query_index_by_arch(table.arch(cell))
        for dataset, run in DATASETS.items():
            costs = api.get_cost_info(position, run, hp="200")
            operations = table.operations[cell]
            assert parameters(operations, dataset) / 1e6 == pytest.approx(costs["params"])
            assert flops(operations, dataset) / 1e6 == pytest.approx(costs["flops"])
