"""From the official per-cell records to columns, refusing whatever no honest record holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import brief, shown
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.curves import CurveKey, CurveWriter
from nni_wiring.truth.metrics import CostKey, Metric, MetricKey, TableData
from nni_wiring.truth.order import CellOrder

_TRAININGS = (12, 200)  # epochs
_MOST_SEEDS = 16
_LARGEST = 1e30  # loss or seconds; beyond it numpy's float32, and a whole number even float, ends
RUNS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
IMAGES = ("train", "x-valid", "x-test", "ori-test")
_COLUMN_OF_CURVE = {source: column for column, source in NASBENCH201.curves.items()}
_DATASET_OF_RUN = {
    s[0]: column[0] for s, column in _COLUMN_OF_CURVE.items() if column[1] == "valid"
}
_SEARCH_COSTS = {"train": "train_epoch", "x-valid": "valid_pass", "latency": "latency"}


def cost_key(run: str, what: str) -> CostKey:
    """The column for seconds of a training, named as its authors name it.

    Args:
        run: one of RUNS.
        what: one of IMAGES (one epoch over train, one pass over the others), or "latency".

    Returns:
        One of COST_KINDS by data set where a search pays for it; else "official_<what>" by run.
    """
    if run in _DATASET_OF_RUN and what in _SEARCH_COSTS:
        return CostKey(_SEARCH_COSTS[what], _DATASET_OF_RUN[run])
    return CostKey(f"official_{what}", run)


class RecordCollector:
    """Gathers records in any order, checks each, and turns them into a table.

    Args:
        order: all cells in official order.
        curves: where per-epoch curves go, or None to leave them out.
        name: the source for error lines.
    """

    def __init__(self, order: CellOrder, curves: CurveWriter | None, name: str) -> None:
        self._order = order
        self._cells = order.benchmark.cells
        self._curves = curves
        self._name = name
        self._trials: dict[MetricKey, dict[int, NDArray[np.float64]]] = {}
        self._costs: dict[CostKey, NDArray[np.float64]] = {}
        self._seen: set[tuple[int, int]] = set()
        self.cells: set[int] = set()
        # The source's own numbering; a cut-out of the table counts from 0 anew.
        self.own_indices: dict[int, str] = {}

    def add(self, record: Mapping[str, Any], epochs: int | None = None) -> None:
        """Take one architecture's record (arch_index, arch_str, all_results).

        Raises:
            BenchmarkError: a wrong index or arch string, a duplicate, or a bad figure, named.
        """
        own_index, arch, results = (
            record.get(key) for key in ("arch_index", "arch_str", "all_results")
        )
        if not isinstance(arch, str) or arch not in self._order.indices:
            raise self._fail(
                f"record {brief(own_index)}: {brief(arch)} is not a NAS-Bench-201 cell"
            )
        index = self._order.indices[arch]
        if not isinstance(own_index, int) or self.own_indices.setdefault(own_index, arch) != arch:
            raise self._fail(f"record {brief(own_index)} does not stand for one cell alone")
        if not isinstance(results, Mapping) or not results:
            raise self._fail(f"cell {index} has no results")
        for key, result in results.items():
            self._add_trial(index, key, result, epochs)
        length = next(iter(results.values()))["epochs"]
        if (index, length) in self._seen:
            raise self._fail(f"cell {index} appears twice at {length} epochs")
        self._seen.add((index, length))
        self.cells.add(index)

    def _add_trial(self, index: int, key: object, result: object, epochs: int | None) -> None:
        where = f"cell {index}, {brief(key)}"
        if not (isinstance(key, tuple) and len(key) == 2 and key[0] in RUNS):
            raise self._fail(f"{where}: not a (data set, seed) of NAS-Bench-201")
        run, seed = key
        if not isinstance(seed, int) or not 0 < seed < 2**15:
            raise self._fail(f"{where}: not a seed")
        if not isinstance(result, Mapping) or result.get("epochs") not in _TRAININGS:
            raise self._fail(f"{where}: not a training of {_TRAININGS} epochs")
        length = int(result["epochs"])
        if epochs is not None and length != epochs:
            raise self._fail(f"{where}: {length} epochs where {epochs} belong")
        curves = self._curves_of(where, result, length)
        for images, curve in curves.items():
            self._keep(index, CurveKey(run, images[0], images[1], length), seed, curve)
        self._add_costs(index, run, result, length, where)

    def _curves_of(
        self, where: str, result: Mapping[str, Any], epochs: int
    ) -> dict[tuple[str, str], NDArray[np.float64]]:
        """Curves (epochs,) by images and quantity; NaN where an epoch was not measured."""
        found = {}
        for quantity, train, evaluated in (
            ("accuracy", "train_acc1es", "eval_acc1es"),
            ("loss", "train_losses", "eval_losses"),
        ):
            for images in IMAGES:
                series = result.get(train if images == "train" else evaluated)
                if not isinstance(series, Mapping):
                    raise self._fail(f"{where}: no {train} or {evaluated}")
                names = range(epochs) if images == "train" else _names(images, epochs)
                values = [series.get(name) for name in names]
                if any(value is not None for value in values):
                    upper = 100.0 if quantity == "accuracy" else math.inf
                    what = f"{where}: {quantity} on {images}"
                    found[images, quantity] = self._numbers(what, values, upper)
        return found

    def _numbers(self, what: str, values: list[Any], upper: float) -> NDArray[np.float64]:
        for value in values:
            if value is None or (math.isinf(upper) and _diverged(value)):
                continue
            # NaN fails the comparison, too.
            if not isinstance(value, (int, float)) or not 0 <= value <= min(upper, _LARGEST):
                raise self._fail(f"{what} is {brief(value)}, allowed: 0..{upper:g}")
        numbers = np.array([math.nan if value is None else value for value in values], float)
        numbers[np.isinf(numbers)] = math.nan
        return numbers

    def _keep(self, index: int, key: CurveKey, seed: int, curve: NDArray[np.float64]) -> None:
        if self._curves is not None:
            self._curves.add(index, key, seed, curve)
        split = _COLUMN_OF_CURVE.get(key[:2])
        if split is None or key.quantity != "accuracy" or math.isnan(curve[-1]):
            return
        columns = self._trials.setdefault(MetricKey(*split, key.epochs), {})
        if seed not in columns:
            if len(columns) == _MOST_SEEDS:
                raise self._fail(f"more than {_MOST_SEEDS} different seeds")
            columns[seed] = np.full(self._cells, np.nan)
        columns[seed][index] = curve[-1]

    def _add_costs(
        self, index: int, run: str, result: Mapping[str, Any], epochs: int, where: str
    ) -> None:
        """Mean seconds of an epoch, of a pass over each set of images and of a forward batch, where
        recorded; the published files have one figure per cell, the same for all its trainings.
        """
        train, evaluated = result.get("train_times"), result.get("eval_times")
        series: dict[str, list[Any]] = {
            "train": list(train.values()) if isinstance(train, Mapping) else [],
            "latency": self._list(f"{where}: latency", result.get("latency")),
        }
        if isinstance(evaluated, Mapping):
            for images in IMAGES[1:]:
                names = _names(images, epochs)
                series[images] = [evaluated[name] for name in names if name in evaluated]
        for what, values in series.items():
            if values:
                key = cost_key(run, what)
                seconds = self._numbers(f"{where}: {key.kind}", values, math.inf).mean()
                self._costs.setdefault(key, np.full(self._cells, np.nan))[index] = seconds

    def _list(self, what: str, value: object) -> list[Any]:
        if value is not None and not isinstance(value, (list, tuple)):
            raise self._fail(f"{what} is {brief(value)}, expected a list of seconds")
        return list(value or ())

    def check_order(self, archs: object) -> None:
        """Compare the source's own list of arch strings with its records and, if whole, with ours.

        Raises:
            BenchmarkError: a record stands at an index where the list has another cell, or the
                list is whole and in another order than the official one.
        """
        if not isinstance(archs, (list, tuple)) or len(archs) > self._cells:
            raise self._fail("its meta_archs is not a list of cells")
        for index, arch in self.own_indices.items():
            if not 0 <= index < len(archs) or archs[index] != arch:
                raise self._fail(f"record {brief(index)} is not the cell that its meta_archs names")
        if len(archs) == self._cells and list(archs) != self._order.archs:
            raise self._fail("its cells stand in another order than the official one")

    def table(self, info: dict[str, Any]) -> TableData:
        """The columns of everything taken so far."""
        metrics = {key: _pack(columns) for key, columns in sorted(self._trials.items())}
        costs = {key: column.astype(np.float32) for key, column in sorted(self._costs.items())}
        info = {**info, "cells": len(self.cells)}
        return TableData(self._order.codes, metrics, costs, info, self._order.benchmark)

    def _fail(self, what: str) -> BenchmarkError:
        return BenchmarkError(f"{shown(self._name)}: {what}")


def _diverged(value: object) -> bool:
    """A loss may have run away; accuracies may not, and are never excused."""
    return isinstance(value, float) and not math.isfinite(value)


def _names(images: str, epochs: int) -> list[str]:
    return [f"{images}@{epoch}" for epoch in range(epochs)]


def _pack(columns: dict[int, NDArray[np.float64]]) -> Metric:
    """Move each cell's seeds together, so that as many rows are kept as a cell has seeds."""
    seeds = np.array(sorted(columns), dtype=np.int16)
    values = np.stack([columns[seed] for seed in sorted(columns)])
    order = np.argsort(np.isnan(values), axis=0, kind="stable")
    rows = int((~np.isnan(values)).sum(axis=0).max())
    packed = np.take_along_axis(values, order, axis=0)[:rows]
    packed_seeds = np.where(np.isnan(packed), np.int16(0), seeds[order][:rows])
    return Metric.from_trials(packed, packed_seeds)
