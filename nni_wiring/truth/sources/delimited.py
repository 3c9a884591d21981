"""Tables with a header: what their columns mean, and the truth table that they make."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import brief, shown
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.metrics import COST_KINDS, CostKey, Metric, MetricKey, TableData
from nni_wiring.truth.order import CellOrder
from nni_wiring.truth.sources.merged import VERSIONS
from nni_wiring.truth.sources.sheets import Sheet, open_sheet
from search_spaces.errors import SpaceError

KIND = "delimited"
_MOST_TRIALS = 100  # columns of one metric

# What is read -> its column, or a list of columns that hold single seeds.
ColumnMap = Mapping[str, str | list[str]]


class Columns(NamedTuple):
    """A column map that has been understood.

    Attributes:
        cells: column of the cells. by_ops: it holds digits, one operation index per edge, instead
            of the benchmark's text.
        metrics: columns of each metric. single: whether one column holds its mean.
        costs: column of each cost, and what it is divided by.
    """

    cells: str
    by_ops: bool
    metrics: dict[MetricKey, list[str]]
    single: dict[MetricKey, bool]
    costs: dict[CostKey, tuple[str, int]]

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        metrics = [name for names in self.metrics.values() for name in names]
        return [self.cells, *metrics, *(name for name, _ in self.costs.values())]


def read(path: Path, columns: ColumnMap | None, version: str | None) -> TableData:
    """Read a table file.

    Args:
        path: .csv, .csv.gz (or .bz2) or .parquet, one row per cell in any order.
        columns: what each column means (see docs/benchmark.md); None for a file whose columns have
            the names of a map, and for the merged table.
        version: a label of the table; of the merged table the choice of its columns.

    Raises:
        BenchmarkError: a missing column, an unknown or repeated cell, or a bad figure, named.
    """
    sheet = open_sheet(path)
    try:
        benchmark = BENCHMARKS.lookup(sheet.benchmark)
    except BenchmarkError as error:
        raise BenchmarkError(f"{shown(path)}: its header names a {error}") from None
    if columns is None:
        columns, version = _own_columns(sheet, benchmark, version)
    meaning = understand(columns, benchmark)
    content = sheet.read(meaning.names, benchmark.cells)
    order = CellOrder(benchmark)
    rows = _rows_of_cells(path, content[meaning.cells], meaning.by_ops, order)
    placed = {
        name: _place(path, content[name], name, rows, benchmark.cells) for name in meaning.names[1:]
    }
    metrics = {}
    for key, names in meaning.metrics.items():
        trials = np.stack([placed[name] for name in names])
        metrics[key] = _metric(path, key, names, trials, rows, meaning.single[key])
    costs = {}
    for cost, (name, divisor) in meaning.costs.items():
        _refuse_gap(path, name, placed[name], rows)
        costs[cost] = (placed[name] / divisor).astype(np.float32)
    info = {"version": version or "own columns", "cells": len(rows)}
    return TableData(order.codes, metrics, costs, info, benchmark)


def _own_columns(
    sheet: Sheet, benchmark: Benchmark, version: str | None
) -> tuple[ColumnMap, str | None]:
    """The map of a file that needs none: its columns' own names, or the merged table's."""
    grammar = _Grammar(benchmark)
    names = [n for n in sheet.header if n in ("arch", "ops") or grammar.known(n)]
    if any(grammar.metric(name) for name in names):
        return {name: name for name in names}, version
    if sheet.benchmark not in VERSIONS:
        example = f"{benchmark.dataset_names[0]}/valid"
        raise BenchmarkError(
            f"{sheet.path}: no column names a metric, such as {example}; say what they mean in a "
            "column map (--columns)"
        )
    chosen = version or "v11"
    known = VERSIONS[sheet.benchmark]
    if chosen not in known:
        raise BenchmarkError(
            f"version {chosen!r}: of the merged table there are {', '.join(known)}"
        )
    return known[chosen], chosen


class _Grammar:
    """The targets of a column map for one benchmark."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        datasets, splits = "|".join(benchmark.dataset_names), "|".join(benchmark.splits)
        self._metric = re.compile(rf"({datasets})/({splits})(?:@(\d{{1,4}}))?")
        self._cost = re.compile(rf"({'|'.join(COST_KINDS)}|train_(\d{{1,4}}))/({datasets})")

    def metric(self, target: str) -> MetricKey | None:
        """``DATASET/SPLIT`` or ``DATASET/SPLIT@EPOCHS``."""
        match = self._metric.fullmatch(target)
        if match is None:
            return None
        epochs = int(match[3]) if match[3] else self._benchmark.full_epochs(match[1])
        return MetricKey(match[1], match[2], epochs)

    def cost(self, target: str) -> tuple[CostKey, int] | None:
        """``KIND/DATASET``, or ``train_EPOCHS/DATASET`` for a whole training; what to divide by."""
        match = self._cost.fullmatch(target)
        if match is None or match[2] == "0":
            return None
        if match[2] is None:
            return CostKey(match[1], match[3]), 1
        return CostKey("train_epoch", match[3]), int(match[2])

    def known(self, target: str) -> bool:
        """True for one of the two."""
        return self.metric(target) is not None or self.cost(target) is not None


def understand(columns: ColumnMap, benchmark: Benchmark) -> Columns:
    """Read a column map; BenchmarkError if it names something that no table holds."""
    if not isinstance(columns, Mapping) or ("arch" in columns) == ("ops" in columns):
        raise BenchmarkError("column map: it must name the column of the cells as 'arch' or 'ops'")
    grammar = _Grammar(benchmark)
    found = Columns("", "ops" in columns, {}, {}, {})
    for target, entry in columns.items():
        names = [entry] if isinstance(entry, str) else entry
        if not isinstance(names, (list, tuple)) or not names or not _texts(names):
            raise BenchmarkError(
                f"column map: {brief(target)}: expected a column name or a list of them"
            )
        if target in ("arch", "ops"):
            if len(names) > 1:
                raise BenchmarkError(f"column map: {target}: expected one column name")
            found = found._replace(cells=names[0])
        elif (key := grammar.metric(str(target))) is not None:
            found.metrics[key], found.single[key] = names, isinstance(entry, str)
        elif (cost := grammar.cost(str(target))) is not None:
            found.costs[cost[0]] = names[0], cost[1]
        else:
            raise BenchmarkError(
                f"column map: {brief(target, 80)} is unknown; allowed: arch, ops, "
                f"DATASET/SPLIT@EPOCHS and {', '.join(COST_KINDS)}, train_EPOCHS "
                f"with /DATASET; data sets of {benchmark.title}: "
                f"{', '.join(benchmark.dataset_names)}"
            )
    if not found.metrics:
        example = f"{benchmark.dataset_names[0]}/valid"
        raise BenchmarkError(f"column map: it names no accuracy or other metric, such as {example}")
    return found


def _texts(names: Sequence[object]) -> bool:
    return len(names) <= _MOST_TRIALS and all(isinstance(name, str) for name in names)


def _rows_of_cells(
    path: Path, cells: list[Any], by_ops: bool, order: CellOrder
) -> NDArray[np.int64]:
    """Official index of every row."""
    rows = []
    for line, cell in enumerate(cells, start=1):
        text = str(cell).strip()
        try:
            if by_ops:
                text = _arch_of_digits(text, order.benchmark)
            elif text not in order.indices:
                codec = order.benchmark.codec
                text = codec.spell(codec.parse(text))
        except SpaceError as error:
            raise BenchmarkError(f"{shown(path)}: row {line}: {error}") from error
        rows.append(order.indices[text])
    repeated = len(rows) - len(set(rows))
    if repeated:
        raise BenchmarkError(f"{shown(path)}: {repeated} cells stand in it more than once")
    if not rows:
        raise BenchmarkError(f"{shown(path)}: it has no rows")
    return np.array(rows)


def _arch_of_digits(digits: str, benchmark: Benchmark) -> str:
    """The text of a cell written as digits, of which a number type has lost leading zeros."""
    known = digits.isascii() and digits.isdecimal()
    padded = digits.zfill(benchmark.codec.edges)
    return benchmark.codec.spell([int(digit) for digit in padded] if known else [])


def _place(
    path: Path, texts: list[Any], name: str, rows: NDArray[np.int64], cells: int
) -> NDArray[np.float64]:
    """One column as (cells,) float64 in official order; NaN where a cell has no value."""
    column = np.full(cells, np.nan)
    column[rows] = [math.nan if text in ("", None) else _number(path, text, name) for text in texts]
    return column


def _number(path: Path, text: object, name: str) -> float:
    try:
        number = float(str(text))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BenchmarkError(
            f"{shown(path)}: {brief(text)} in column {brief(name)} is not a number"
        )
    return number


def _refuse_gap(
    path: Path, name: str, column: NDArray[np.float64], rows: NDArray[np.int64]
) -> None:
    empty = np.flatnonzero(np.isnan(column[rows]))
    if len(empty):
        raise BenchmarkError(
            f"{shown(path)}: row {int(empty[0]) + 1} has no value in column {name!r}"
        )


def _metric(
    path: Path,
    key: MetricKey,
    names: list[str],
    trials: NDArray[np.float64],
    rows: NDArray[np.int64],
    single: bool,
) -> Metric:
    if single:
        _refuse_gap(path, names[0], trials[0], rows)
        return Metric(trials[0].astype(np.float32))
    lacking = np.isnan(trials[:, rows]).all(axis=0)
    if lacking.any():
        row = int(np.flatnonzero(lacking)[0]) + 1
        raise BenchmarkError(f"{shown(path)}: row {row} has no value for {key}")
    return Metric.from_trials(trials, np.zeros(trials.shape, np.int16))
