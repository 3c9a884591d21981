"""The compact table file: one uncompressed .npz under the cache folder, replaced atomically."""

from __future__ import annotations

import io
import json
import os
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import shown
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.archive import BROKEN, FORMAT, read_array, read_header, save_arrays
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.built import header_of
from nni_wiring.truth.metrics import CostKey, Metric, MetricKey, TableData, check_data

FORMAT = 2
_FIRST = 1  # without the benchmark, which was NAS-Bench-201
_SIZE_LIMIT = 64 * 2**20  # bytes; a full table has about 5 MB
# What reading a damaged or foreign .npz raises.
BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,  # encrypted, or an unknown compression
    SyntaxError,  # numpy's header reader
    tokenize.TokenError,
    zipfile.BadZipFile,
    BenchmarkError,
)


def cache_dir() -> Path:
    """$NNI_WIRING_CACHE, else $XDG_CACHE_HOME/nni-wiring, else ~/.cache/nni-wiring."""
    chosen = os.environ.get("NNI_WIRING_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nni-wiring"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` so that a reader sees the old file or the new one.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def save_arrays(path: Path, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays and a JSON header to one file, atomically; OSError as above."""
    text = json.dumps(header, sort_keys=True).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(text, np.uint8), **arrays)
    write_atomically(path, buffer.getvalue())


def read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The JSON header of an open table file, after a check that no member can blow up."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise BenchmarkError("it is not a table file (compressed members)")
    header = json.loads(bytes(read_array(archive, "header")))
    if not isinstance(header, dict) or header.get("format") not in (_FIRST, FORMAT):
        raise BenchmarkError("it is not a table file of this version")
    return header


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an open table file (its CRC is checked, pickled objects are refused)."""
    if archive.getinfo(f"{name}.npy").file_size > _SIZE_LIMIT:
        raise BenchmarkError(f"its array {name!r} is too large")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)


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
    """Read and check a table file.

    Raises:
        BenchmarkError: one line naming the file and what is wrong with it.
    """
    try:
        with regular_file(path) as file, zipfile.ZipFile(file) as archive:
            header = read_header(archive)
            data = _read_parts(archive, header)
        check_data(data, "table")
    except BROKEN as error:
        raise BenchmarkError(f"{shown(path)}: not a readable table file ({error})") from error
    return data


def _read_parts(archive: zipfile.ZipFile, header: dict[str, Any]) -> TableData:
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
