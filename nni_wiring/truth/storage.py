"""The compact table file: one uncompressed .npz under the cache folder, replaced atomically."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import shown, told
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.archive import BROKEN, FORMAT, PACKED, read_array, read_header, save_arrays
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.built import header_of
from nni_wiring.truth.metrics import CostKey, Metric, MetricKey, TableData, check_data
from nni_wiring.truth.packed import read_packed


def save_table(path: Path, data: TableData) -> None:
    """Write a table file; OSError if the folder cannot be written."""
    arrays: dict[str, NDArray[Any]] = {"codes": data.codes.astype(np.int16)}
    rows = []
    for number, (key, metric) in enumerate(data.metrics.items()):
        arrays[f"mean{number}"] = metric.mean.astype(np.float32)
        if metric.trials is not None and metric.seeds is not None:
            arrays[f"trials{number}"] = metric.trials.astype(np.float32)
            arrays[f"seeds{number}"] = metric.seeds.astype(np.int16)
        rows.append([*key, metric.trials is not None])
    for number, cost in enumerate(data.costs.values()):
        arrays[f"cost{number}"] = cost.astype(np.float32)
    header = {
        "format": FORMAT,
        **header_of(data.benchmark),
        "metrics": rows,
        "costs": [list(key) for key in data.costs],
        "info": data.info,
    }
    save_arrays(path, header, arrays)


def read_table(path: Path) -> TableData:
    """Read and check a table file, plain or packed.

    Raises:
        BenchmarkError: one line naming the file and what is wrong with it.
    """
    try:
        with regular_file(path) as file, zipfile.ZipFile(file) as archive:
            header = read_header(archive)
            data = _read_parts(archive, header)
        check_data(data, "table")
    except BROKEN as error:
        raise BenchmarkError(f"{shown(path)}: not a readable table file ({told(error)})") from error
    return data


def _read_parts(archive: zipfile.ZipFile, header: dict[str, Any]) -> TableData:
    if header["format"] == PACKED:
        return read_packed(archive, header, BENCHMARKS.of_table(header))
    metrics = {}
    for number, (dataset, split, epochs, has_trials) in enumerate(header["metrics"]):
        trials = seeds = None
        if has_trials:
            trials = read_array(archive, f"trials{number}").astype(np.float32, copy=False)
            seeds = read_array(archive, f"seeds{number}").astype(np.int16, copy=False)
        mean = read_array(archive, f"mean{number}").astype(np.float32, copy=False)
        metrics[MetricKey(dataset, split, int(epochs))] = Metric(mean, trials, seeds)
    costs = {
        CostKey(*key): read_array(archive, f"cost{number}").astype(np.float32, copy=False)
        for number, key in enumerate(header["costs"])
    }
    codes = read_array(archive, "codes").astype(np.int64)
    return TableData(codes, metrics, costs, dict(header["info"]), BENCHMARKS.of_table(header))
