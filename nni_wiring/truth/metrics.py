"""The names and the arrays that a truth table is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError

Dataset = Literal["cifar10", "cifar100", "imagenet16"]
Split = Literal["valid", "test"]
DATASETS: tuple[str, ...] = get_args(Dataset)
SPLITS: tuple[str, ...] = get_args(Split)
CELLS = 15_625
FULL_EPOCHS = 200  # the training length that papers report

Floats = NDArray[np.float32]


class MetricKey(NamedTuple):
    """One accuracy column: data set, split, and the length of the training in epochs."""

    dataset: str
    split: str
    epochs: int = FULL_EPOCHS

    def __str__(self) -> str:
        return f"{self.dataset}/{self.split}@{self.epochs}"


class CostKey(NamedTuple):
    """One cost column; ``kind`` is one of COST_KINDS, each in seconds."""

    kind: str
    dataset: str


# Seconds of one training epoch, of one pass over the validation images, of one forward batch.
COST_KINDS = ("train_epoch", "valid_pass", "latency")


@dataclass(frozen=True)
class Metric:
    """Accuracy in percent of every cell, in official order; NaN where the source has none.

    Attributes:
        mean: (15625,) float32, mean over the seeds that the source has for the cell.
        trials: (T, 15625) float32 or None, the single seeds, NaN where a cell has fewer.
        seeds: (T, 15625) int16 or None, the seed of each trial, 0 where it is not known.
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


@dataclass(frozen=True)
class TableData:
    """Everything that one source says, in official index order.

    Attributes:
        codes: (15625,) int64, official index -> lexicographic code of ``cell_graph``.
        metrics: accuracies by key.
        costs: seconds by key, each (15625,) float32.
        info: where it came from: kind, version, sha256, path, cells (how many are present).
    """

    codes: NDArray[np.int64]
    metrics: dict[MetricKey, Metric]
    costs: dict[CostKey, Floats] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)


def check_names(dataset: str, split: str) -> None:
    """Raise BenchmarkError unless both names are known."""
    if dataset not in DATASETS:
        raise BenchmarkError(f"unknown data set {dataset!r}; allowed: {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise BenchmarkError(f"unknown split {split!r}; allowed: {', '.join(SPLITS)}")


def check_data(data: TableData, name: str) -> None:
    """Raise BenchmarkError naming the first thing that no NAS-Bench-201 table can hold."""
    codes = data.codes
    if codes.shape != (CELLS,) or not np.array_equal(np.sort(codes), np.arange(CELLS)):
        raise BenchmarkError(f"{name}: its cells are not the 15,625 of NAS-Bench-201, each once")
    for key, metric in data.metrics.items():
        check_names(key.dataset, key.split)
        for array in (metric.mean, metric.trials):
            if array is not None:
                _check_range(array, f"{name}: accuracy {key}", upper=100.0)
        trials, seeds = metric.trials, metric.seeds
        if (trials is None) != (seeds is None) or (
            trials is not None and seeds is not None and trials.shape != seeds.shape
        ):
            raise BenchmarkError(f"{name}: accuracy {key} has seeds and trials of unequal shape")
    for cost, array in data.costs.items():
        _check_range(array, f"{name}: cost {'/'.join(cost)}", upper=float("inf"))


def _check_range(array: Floats, what: str, upper: float) -> None:
    if array.ndim not in (1, 2) or array.shape[-1] != CELLS:
        raise BenchmarkError(f"{what} has shape {array.shape}, expected one value a cell")
    with np.errstate(invalid="ignore"):
        bad = (array < 0) | (array > upper) | np.isinf(array)
    if bad.any():
        index = int(np.argwhere(bad)[0][-1])
        raise BenchmarkError(f"{what} of cell {index} is {array[bad][0]:g}, allowed: 0..{upper:g}")
