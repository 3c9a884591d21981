"""Tables with a header: .csv, .csv.gz and .parquet, with a map from columns to metrics."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.metrics import (
    CELLS,
    COST_KINDS,
    DATASETS,
    SPLITS,
    CostKey,
    Metric,
    MetricKey,
    TableData,
)
from nni_wiring.truth.order import OfficialOrder
from nni_wiring.truth.sources.containers import read_compressed
from search_spaces.cell_graph import format_arch, parse_arch
from search_spaces.errors import SpaceError

KIND = "delimited"
_SIZE_LIMIT = 256 << 20  # bytes unpacked; the merged table has 5 MB
_METRIC = re.compile(rf"({'|'.join(DATASETS)})/({'|'.join(SPLITS)})@(\d{{1,4}})")
_COST = re.compile(rf"({'|'.join(COST_KINDS)}|train_200)/({'|'.join(DATASETS)})")

# What is read -> its column, or a list of columns that hold single seeds.
ColumnMap = Mapping[str, str | list[str]]

_RUN = {"cifar10": "cifar10valid", "cifar100": "cifar100", "imagenet16": "imagenet16"}
_SHARED: dict[str, str | list[str]] = {
    "arch": "arch",
    **{f"{name}/valid@12": f"e12_{run}_val" for name, run in _RUN.items()},
    **{f"{name}/test@12": f"e12_{name}_test" for name in _RUN},
    **{f"train_200/{name}": f"train_s200_{run}" for name, run in _RUN.items()},
    **{f"latency/{name}": f"latency_s_{run}" for name, run in _RUN.items()},
}
# The merged table holds two versions that differ for about 2,400 cells: one table, one version.
VERSIONS: dict[str, ColumnMap] = {
    "v11": {
        **_SHARED,
        **{f"{name}/valid@200": f"v11_{run}_val200" for name, run in _RUN.items()},
        **{f"{name}/test@200": f"v11_{name}_test200" for name in _RUN},
    },
    "nats": {
        **_SHARED,
        **{
            f"{name}/valid@200": [f"nats_{run}_val200_t{trial}" for trial in range(3)]
            for name, run in _RUN.items()
        },
    },
}


def read(path: Path, columns: ColumnMap, order: OfficialOrder, info: dict[str, Any]) -> TableData:
    """Read the mapped columns of a table file.

    Args:
        path: .csv, .csv.gz (or .bz2) or .parquet, one row a cell in any order.
        columns: what each column means; see docs/benchmark.md.
        order: all cells in official order.
        info: goes into the table.

    Raises:
        BenchmarkError: a missing column, an unknown or repeated cell, or a bad figure, named.
    """
    check_columns(columns)
    wanted = [name for entry in columns.values() for name in _listed(entry)]
    content = _read_columns(path, wanted)
    indices = {arch: index for index, arch in enumerate(order.archs)}
    rows = _cell_indices(path, content, columns, indices)
    metrics: dict[MetricKey, Metric] = {}
    costs: dict[CostKey, NDArray[np.float32]] = {}
    for target, entry in columns.items():
        series = (
            [_place(path, content[name], name, rows, entry) for name in _listed(entry)]
            if (target not in ("arch", "ops"))
            else []
        )
        if match := _METRIC.fullmatch(target):
            key = MetricKey(match[1], match[2], int(match[3]))
            metrics[key] = _metric(path, key, np.stack(series), rows, isinstance(entry, str))
        elif match := _COST.fullmatch(target):
            whole = match[1] == "train_200"
            kind = "train_epoch" if whole else match[1]
            costs[CostKey(kind, match[2])] = (series[0] / (200 if whole else 1)).astype(np.float32)
    return TableData(order.codes, metrics, costs, {**info, "cells": len(rows)})


def check_columns(columns: ColumnMap) -> None:
    """Raise BenchmarkError if a column map names something that no table holds."""
    if not isinstance(columns, Mapping) or ("arch" in columns) == ("ops" in columns):
        raise BenchmarkError("column map: it must name the column of the cells as 'arch' or 'ops'")
    for target, entry in columns.items():
        known = target in ("arch", "ops") or (
            isinstance(target, str) and (_METRIC.fullmatch(target) or _COST.fullmatch(target))
        )
        if not known:
            raise BenchmarkError(
                f"column map: {target!r} is unknown; allowed: arch, ops, DATASET/SPLIT@EPOCHS and "
                f"{', '.join(COST_KINDS)}, train_200 with /DATASET; data sets {', '.join(DATASETS)}"
            )
        names = _listed(entry)
        if not names or not all(isinstance(name, str) for name in names):
            raise BenchmarkError(f"column map: {target}: expected a column name or a list of them")
    if not any(_METRIC.fullmatch(target) for target in columns):
        raise BenchmarkError("column map: it names no accuracy, such as cifar10/valid@200")


def _listed(entry: str | list[str]) -> list[str]:
    return [entry] if isinstance(entry, str) else list(entry)


def _read_columns(path: Path, wanted: list[str]) -> dict[str, list[Any]]:
    with open(path, "rb") as file:
        parquet = file.read(4) == b"PAR1"
    header, content = _read_parquet(path, wanted) if parquet else _read_text(path, wanted)
    missing = [name for name in wanted if name not in header]
    if missing:
        raise BenchmarkError(f"{path}: no column {missing[0]!r}; it has: {', '.join(header)[:300]}")
    return content


def _read_text(path: Path, wanted: list[str]) -> tuple[list[str], dict[str, list[Any]]]:
    raw = read_compressed(path, _SIZE_LIMIT)
    try:
        reader = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise BenchmarkError(f"{path}: a column name stands twice in its header")
        positions = {name: header.index(name) for name in wanted if name in header}
        content: dict[str, list[Any]] = {name: [] for name in positions}
        for row in reader:
            if len(row) != len(header):
                line = f"line {reader.line_num} has {len(row)} fields"
                raise BenchmarkError(f"{path}: {line}, its header {len(header)}")
            for name, position in positions.items():
                content[name].append(row[position])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"{path}: not a table with a header ({error})") from error
    return header, content


def _read_parquet(path: Path, wanted: list[str]) -> tuple[list[str], dict[str, list[Any]]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            header = list(file.schema_arrow.names)
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            if (
                file.metadata.num_rows > CELLS
                or sum(g.total_byte_size for g in groups) > _SIZE_LIMIT
            ):
                raise BenchmarkError(f"{path}: {file.metadata.num_rows} rows, allowed: {CELLS}")
            table = file.read(columns=[name for name in wanted if name in header])
        return header, {name: table[name].to_pylist() for name in table.column_names}
    except (ArrowException, OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise BenchmarkError(f"{path}: not a readable parquet file ({reason})") from error


def _cell_indices(
    path: Path, content: dict[str, list[Any]], columns: ColumnMap, indices: dict[str, int]
) -> NDArray[np.int64]:
    """Official index of every row."""
    by_ops = "ops" in columns
    name = str(columns["ops" if by_ops else "arch"])
    archs = [_arch_of_ops(str(cell)) for cell in content[name]] if by_ops else content[name]
    rows = []
    for line, arch in enumerate(archs, start=1):
        if arch not in indices:
            try:
                parse_arch(str(arch))
            except SpaceError as error:
                raise BenchmarkError(f"{path}: row {line}: {error}") from error
        rows.append(indices[str(arch).strip()])
    repeated = len(rows) - len(set(rows))
    if repeated:
        raise BenchmarkError(f"{path}: {repeated} cells stand in it more than once")
    if not rows:
        raise BenchmarkError(f"{path}: it has no rows")
    return np.array(rows)


def _arch_of_ops(digits: str) -> str:
    cells = [int(digit) for digit in digits.zfill(6)] if digits.isdecimal() else []
    return format_arch(cells)


def _place(
    path: Path,
    texts: list[Any],
    name: str,
    rows: NDArray[np.int64],
    entry: str | list[str],
) -> NDArray[np.float64]:
    """One column as (15625,) float64 in official order; NaN where a cell has no row."""
    column = np.full(CELLS, np.nan)
    numbers = [math.nan if text in ("", None) else _number(path, text, name) for text in texts]
    column[rows] = numbers
    if isinstance(entry, str) and np.isnan(numbers).any():
        empty = int(np.flatnonzero(np.isnan(numbers))[0]) + 1
        raise BenchmarkError(f"{path}: row {empty} has no value in column {name!r}")
    return column


def _number(path: Path, text: object, name: str) -> float:
    try:
        number = float(str(text))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BenchmarkError(f"{path}: {text!r:.40} in column {name!r} is not a number")
    return number


def _metric(
    path: Path, key: MetricKey, trials: NDArray[np.float64], rows: NDArray[np.int64], single: bool
) -> Metric:
    if single:
        return Metric(trials[0].astype(np.float32))
    lacking = np.isnan(trials[:, rows]).all(axis=0)
    if lacking.any():
        row = int(np.flatnonzero(lacking)[0]) + 1
        raise BenchmarkError(f"{path}: row {row} has no value for {key}")
    return Metric.from_trials(trials, np.zeros(trials.shape, np.int16))
