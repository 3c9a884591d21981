"""A built table in a few hundred kilobytes: whole numbers by class of equal cells, compressed."""

from __future__ import annotations

import hashlib
import lzma
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.archive import PACKED, SIZE_LIMIT, read_array, save_arrays
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.built import header_of
from nni_wiring.truth.metrics import CostKey, Metric, MetricKey, TableData

#: Accuracies are kept to this many per percent point, so they are off by at most 0.005 points.
_PER_POINT = 100
_MISSING = 2**16 - 1
_MEMORY = 32 * 2**20  # bytes that unpacking may take
_PRESET = 6 | lzma.PRESET_EXTREME


class _Shape(NamedTuple):
    """The numbers of a packed table: class of every cell, accuracies, seconds; two bytes each."""

    cells: int
    metrics: int
    seeds: int
    costs: int
    classes: int

    @property
    def numbers(self) -> int:
        return self.cells + (self.metrics * self.seeds + self.costs) * self.classes


def save_packed(path: Path, data: TableData, class_of: NDArray[np.int64]) -> None:
    """Write a packed table, atomically.

    Accuracies are rounded to hundredths of a point, and exact where they are whole hundredths (so
    with 2,000 held-out images); seconds to 1/65,534 of the largest.

    Args:
        data: a table of which every column has all single seeds.
        class_of: (cells,) a class from 0 of every cell, by code; all cells of one have the same
            values.

    Raises:
        BenchmarkError: cells of one class differ, or a column has no seeds.
        OSError: the folder cannot be written.
    """
    place = np.argsort(data.codes)
    _, first = np.unique(class_of, return_index=True)
    seeds = _seeds_of(data)
    values = np.array([one.trials for one in data.metrics.values()])[..., place]
    costs = np.array([*data.costs.values()]).reshape(len(data.costs), -1)[..., place]
    for what in (values, costs):
        if not np.array_equal(what, what[..., first][..., class_of], equal_nan=True):
            raise BenchmarkError("cells of one class have different values; it cannot be packed")
    hundredths, step = _hundredths(values[..., first])
    units = [float(np.nanmax(row, initial=0.0)) / (_MISSING - 1) or 1.0 for row in costs]
    seconds = [_whole(row[first] / unit) for row, unit in zip(costs, units, strict=True)]
    numbers = np.concatenate([class_of, hundredths.ravel(), *seconds]).astype("<u2")
    payload = lzma.compress(numbers.view(np.uint8).reshape(-1, 2).T.tobytes(), preset=_PRESET)
    header = {
        "format": PACKED,
        **header_of(data.benchmark),
        "metrics": [list(key) for key in data.metrics],
        "costs": [list(key) for key in data.costs],
        "seeds": seeds,
        "classes": len(first),
        "step": step,
        "cost_units": units,
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
        "info": data.info,
    }
    save_arrays(path, header, {"payload": np.frombuffer(payload, np.uint8)})


def read_packed(
    archive: zipfile.ZipFile, header: dict[str, Any], benchmark: Benchmark
) -> TableData:
    """The table of an open packed file; BenchmarkError, KeyError, TypeError or ValueError where it
    is damaged.
    """
    metrics = [MetricKey(str(d), str(s), int(e)) for d, s, e in header["metrics"]]
    costs = [CostKey(str(kind), str(dataset)) for kind, dataset in header["costs"]]
    seeds = np.array(header["seeds"], dtype=np.int16)
    shape = _Shape(benchmark.cells, len(metrics), len(seeds), len(costs), int(header["classes"]))
    numbers = _unpacked(read_array(archive, "payload"), header, shape)
    class_of, rest = numbers[: shape.cells].astype(np.int64), numbers[shape.cells :]
    if not np.array_equal(np.unique(class_of), np.arange(shape.classes)):
        raise BenchmarkError("its classes do not cover the cells")
    codes = benchmark.order()
    own = class_of[codes]
    size = shape.metrics * shape.seeds * shape.classes
    values = rest[:size].reshape(shape.metrics, shape.seeds, shape.classes)
    points = np.where(values == _MISSING, np.nan, values * (float(header["step"]) / _PER_POINT))
    seconds = rest[size:].reshape(shape.costs, shape.classes)
    return TableData(
        codes,
        {key: _metric(points[i][:, own], seeds) for i, key in enumerate(metrics)},
        {
            key: np.where(row == _MISSING, np.nan, row * float(unit)).astype(np.float32)[own]
            for key, row, unit in zip(costs, seconds, header["cost_units"], strict=True)
        },
        dict(header["info"]),
        benchmark,
    )


def _seeds_of(data: TableData) -> list[int]:
    """The seed of every row of trials, the same in all columns."""
    rows = []
    for key, metric in data.metrics.items():
        if metric.trials is None or metric.seeds is None:
            raise BenchmarkError(f"{key} has no single seeds; it cannot be packed")
        rows.append(metric.seeds.max(axis=1))
    # a seed is 0 where its training diverged, in one column of every cell perhaps
    return np.max(rows, axis=0).tolist()


def _hundredths(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Accuracies in steps of so many hundredths of a point; the largest step that loses nothing."""
    known = np.isfinite(values)
    whole = np.rint(np.where(known, values, 0.0) * _PER_POINT).astype(np.int64)
    step = int(np.gcd.reduce(whole, axis=None)) or 1
    return np.where(known, whole // step, _MISSING), step


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.where(np.isfinite(values), np.rint(np.nan_to_num(values)), _MISSING).astype(np.int64)


def _unpacked(
    payload: NDArray[np.uint8], header: dict[str, Any], shape: _Shape
) -> NDArray[np.uint16]:
    content = payload.tobytes()
    size = 2 * shape.numbers
    if hashlib.sha256(content).hexdigest() != header["payload_sha256"]:
        raise BenchmarkError("its checksum is wrong")
    if min(shape) < 0 or size > SIZE_LIMIT:
        raise BenchmarkError("it would be too large")
    try:
        unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)
        found = unpacker.decompress(content, max_length=size + 1)
    except lzma.LZMAError as error:
        raise BenchmarkError(f"it cannot be unpacked: {error}") from None
    if len(found) != size:
        raise BenchmarkError(f"it has not the {shape.numbers} numbers that its header tells")
    planes = np.frombuffer(found, np.uint8).reshape(2, -1)
    numbers: NDArray[np.uint16] = np.ascontiguousarray(planes.T).view("<u2").ravel()
    return numbers


def _metric(trials: NDArray[np.float64], seeds: NDArray[np.int16]) -> Metric:
    known = np.where(np.isfinite(trials), seeds[:, None], 0)
    return Metric.from_trials(trials, known.astype(np.int16))
