"""The names and the arrays that a truth table is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201

Floats = NDArray[np.float32]


class MetricKey(NamedTuple):
    """One column of a table: data set, split, and the length of the training in epochs."""

    dataset: str
    split: str
    epochs: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.split}@{self.epochs}"


class CostKey(NamedTuple):
    """One cost column in seconds; ``kind`` is one of COST_KINDS, or ``official_...`` for what only
    the official APIs ask for (see ``official_records.cost_key``).
    """

    kind: str
    dataset: str


# Seconds of one training epoch, of one pass over the validation images, of one forward batch.
COST_KINDS = ("train_epoch", "valid_pass", "latency")


@dataclass(frozen=True)
class Metric:
    """One measured value of every cell, in official order; NaN where the source has none.

    Attributes:
        mean: (cells,) float32, mean over the seeds that the source has for the cell.
        trials: (T, cells) float32 or None, the single seeds, NaN where a cell has fewer.
        seeds: (T, cells) int16 or None, the seed of each trial, 0 where it is not known.
    """

    mean: Floats
    trials: Floats | None = None
    seeds: NDArray[np.int16] | None = None

    @classmethod
    def from_trials(cls, trials: NDArray[np.float64], seeds: NDArray[np.int16]) -> Metric:
        """Average (T, n) single-seed accuracies over the seeds that are there."""
        present = np.isfinite(trials)
        count = present.sum(axis=0)
        total = np.where(present, trials, 0.0).sum(axis=0)
        mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return cls(mean.astype(np.float32), trials.astype(np.float32), seeds.astype(np.int16))

    def known_seeds(self) -> list[int]:
        """The seeds of single values, rising; 0 (a seed that is not known) left out."""
        return [] if self.seeds is None else sorted({*self.seeds.flat} - {0})

    def of_seed(self, seed: int) -> Floats | None:
        """(cells,) values of one seed, NaN where a cell has not run it; None where no cell has."""
        if self.trials is None or self.seeds is None:
            return None
        ran = self.seeds == seed
        if not ran.any():
            return None
        chosen = np.where(ran, self.trials, np.nan)
        rows = np.argmax(ran, axis=0)
        return chosen[rows, np.arange(len(self.mean))].astype(np.float32)


@dataclass(frozen=True)
class TableData:
    """Everything that one source says, in official index order.

    Attributes:
        codes: (cells,) int64, official index -> the benchmark's code.
        metrics: measured values by key.
        costs: seconds by key, each (cells,) float32.
        info: where it came from: kind, version, sha256, path, cells (how many are present).
        benchmark: whose cells and columns these are.
    """

    codes: NDArray[np.int64]
    metrics: dict[MetricKey, Metric]
    costs: dict[CostKey, Floats] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    benchmark: Benchmark = NASBENCH201


def check_data(data: TableData, name: str) -> None:
    """Raise BenchmarkError naming the first thing that no table of the benchmark can hold."""
    benchmark, codes = data.benchmark, data.codes
    cells = benchmark.cells
    if codes.shape != (cells,) or not np.array_equal(np.sort(codes), np.arange(cells)):
        raise BenchmarkError(
            f"{name}: its cells are not the {cells} of {benchmark.title}, each once"
        )
    for key, metric in data.metrics.items():
        benchmark.check(key.dataset, key.split)
        measure = benchmark.measure(key.dataset)
        for array in (metric.mean, metric.trials):
            if array is not None:
                what = f"{name}: {measure.name} {key}"
                _check_range(array, what, cells, measure.low, measure.high)
        trials, seeds = metric.trials, metric.seeds
        if (trials is None) != (seeds is None) or (
            trials is not None and seeds is not None and trials.shape != seeds.shape
        ):
            raise BenchmarkError(
                f"{name}: {measure.name} {key} has seeds and trials of other shape"
            )
    for cost, array in data.costs.items():
        _check_range(array, f"{name}: cost {'/'.join(cost)}", cells, 0.0, float("inf"))


def _check_range(array: Floats, what: str, cells: int, low: float, high: float) -> None:
    if array.ndim not in (1, 2) or array.shape[-1] != cells:
        raise BenchmarkError(f"{what} has shape {array.shape}, expected one value per cell")
    with np.errstate(invalid="ignore"):
        bad = (array < low) | (array > high) | np.isinf(array)
    if bad.any():
        index = int(np.argwhere(bad)[0][-1])
        value = array[bad][0]
        raise BenchmarkError(f"{what} of cell {index} is {value:g}, allowed: {low:g}..{high:g}")
