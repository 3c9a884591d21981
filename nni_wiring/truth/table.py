"""TruthTable: what every cell of NAS-Bench-201 really reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.answers import Rows, answer, answer_single, gather
from nni_wiring.truth.curves import SOURCES, CurveFile, CurveKey
from nni_wiring.truth.metrics import (
    CELLS,
    FULL_EPOCHS,
    CostKey,
    Floats,
    Metric,
    MetricKey,
    TableData,
    check_names,
)
from nni_wiring.truth.order import arch_strings, code_by_arch
from nni_wiring.truth.standing import Standing, stand
from search_spaces.cell_graph import (
    all_cells,
    cell_code,
    cell_probabilities,
    parse_arch,
)

Arch = str | int | Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True)
class Entry:
    """One cell of a ranking; accuracy in percent, rank 1 is the best."""

    rank: int
    index: int
    arch: str
    accuracy: float


class TruthTable:
    """Accuracies, costs and rankings of all 15,625 cells, by official index.

    Accuracies are percent, means over the seeds that the source has, after 200 epochs unless
    asked otherwise. "cifar10 valid" is the training on 25,000 images (cifar10-valid), "cifar10
    test" the training on all 50,000. What the source lacks is missing: asking for it raises
    BenchmarkError with its name, and ``query`` gives None.
    """

    def __init__(self, name: str, data: TableData, curves: Path | None = None) -> None:
        self.name = name
        self.data = data
        self.codes = data.codes
        self.info = data.info
        self._curve_path = curves
        self._index_of_code = np.argsort(data.codes)
        self._standings: dict[MetricKey, Standing] = {}
        self._rows: dict[int, Rows] = {}
        self._by_code: dict[MetricKey, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return CELLS

    @cached_property
    def operations(self) -> NDArray[np.uint8]:
        """(15625, 6) operation indices by official index."""
        return all_cells()[self.codes]

    def index_of(self, arch: Arch) -> int:
        """Official index of an arch string, an index (checked), or six operation indices.

        Raises:
            SpaceError: the string or the operations are not those of a cell.
            BenchmarkError: the index is outside 0..15624.
        """
        if isinstance(arch, str) and not arch.strip().isdecimal():
            code = code_by_arch().get(arch)
            if code is None:  # surrounding blanks, or not a cell: the parser says what is wrong
                code = cell_code(np.asarray(parse_arch(arch))).item()
            return self._index_of_code[code].item()
        if isinstance(arch, (str, int, np.integer)):
            index = int(arch)
            if not 0 <= index < CELLS:
                raise BenchmarkError(f"cell index {index} does not exist; allowed: 0..{CELLS - 1}")
            return index
        return self._index_of_code[cell_code(np.asarray(arch))].item()

    def arch(self, index: int) -> str:
        """Official arch string of an official index."""
        return arch_strings()[self.codes[self.index_of(index)].item()]

    @property
    def metrics(self) -> list[MetricKey]:
        """The accuracies that this table has."""
        return list(self.data.metrics)

    def has(self, dataset: str, split: str, epochs: int = FULL_EPOCHS) -> bool:
        """Whether the table has this accuracy."""
        check_names(dataset, split)
        return MetricKey(dataset, split, epochs) in self.data.metrics

    def metric(self, dataset: str, split: str, epochs: int = FULL_EPOCHS) -> Metric:
        """Mean and single seeds of one accuracy; BenchmarkError naming it if it is missing."""
        check_names(dataset, split)
        key = MetricKey(dataset, split, epochs)
        if key not in self.data.metrics:
            present = ", ".join(map(str, self.data.metrics)) or "none"
            raise BenchmarkError(
                f"table {self.name!r} has no accuracy {key} (data set/split@epochs); "
                f"it has: {present}"
            )
        return self.data.metrics[key]

    def values(
        self, dataset: str, split: str, epochs: int = FULL_EPOCHS, seed: int | None = None
    ) -> Floats:
        """(15625,) float32 accuracies in percent; NaN for a cell that the source lacks.

        Args:
            dataset, split, epochs: which accuracy.
            seed: None for the mean over seeds, else one seed (NaN where a cell has not run it).

        Raises:
            BenchmarkError: the metric or the seed is missing; the line names it.
        """
        metric = self.metric(dataset, split, epochs)
        if seed is None:
            return metric.mean
        key = MetricKey(dataset, split, epochs)
        if metric.trials is None or metric.seeds is None or not (metric.seeds == seed).any():
            known = [] if metric.seeds is None else sorted({*metric.seeds.flat} - {0})
            listed = ", ".join(map(str, known)) or "none, only the mean"
            raise BenchmarkError(
                f"table {self.name!r} has no seed {seed} for {key}; known seeds: {listed}"
            )
        chosen = np.where(metric.seeds == seed, metric.trials, np.nan)
        rows = np.argmax(metric.seeds == seed, axis=0)
        return chosen[rows, np.arange(CELLS)].astype(np.float32)

    def seconds(self, dataset: str, epochs: int = FULL_EPOCHS) -> Floats:
        """(15625,) seconds to train each cell and, where known, to validate it once.

        For cifar10 it is the training on 25,000 images, which a search pays for. BenchmarkError
        if the source has no training times.
        """
        check_names(dataset, "valid")
        costs = self.data.costs
        key = CostKey("train_epoch", dataset)
        if key not in costs:
            raise BenchmarkError(f"table {self.name!r} has no training times for {dataset}")
        validation = costs.get(CostKey("valid_pass", dataset), np.float32(0.0))
        return costs[key] * np.float32(epochs) + validation

    def standing(self, dataset: str, split: str, epochs: int = FULL_EPOCHS) -> Standing:
        """Accuracy, rank, percentile and regret of every cell; computed once and kept."""
        key = MetricKey(dataset, split, epochs)
        if key not in self._standings:
            self._standings[key] = stand(self.values(*key))
        return self._standings[key]

    def rank(self, dataset: str, split: str) -> NDArray[np.int64]:
        """(15625,) ranks, 1 is the best; ties share the smaller rank; 0 for a missing cell."""
        return self.standing(dataset, split).rank

    def percentile(self, dataset: str, split: str) -> NDArray[np.float64]:
        """(15625,) percent of the cells that are not better than this one; the best has 100."""
        return self.standing(dataset, split).percentile

    def regret(self, dataset: str, split: str) -> NDArray[np.float64]:
        """(15625,) percent points below the best cell."""
        return self.standing(dataset, split).regret

    def top(self, k: int, dataset: str, split: str, epochs: int = FULL_EPOCHS) -> list[Entry]:
        """The k best cells, best first; of equal ones the smaller index first."""
        if not 1 <= k <= CELLS:
            raise BenchmarkError(f"top {k}: allowed is 1..{CELLS}")
        values = self.values(dataset, split, epochs)
        standing = self.standing(dataset, split, epochs)
        order = np.argsort(-values, kind="stable")[: min(k, int(np.isfinite(values).sum()))]
        return [
            Entry(standing.rank[i].item(), i, self.arch(i), standing.accuracy[i].item())
            for i in order.tolist()
        ]

    def optimum(self, dataset: str, split: str) -> Entry:
        """The best cell."""
        return self.top(1, dataset, split)[0]

    def mean(self, dataset: str, split: str) -> float:
        """Mean accuracy of a uniformly drawn cell, in percent."""
        return float(np.nanmean(self.values(dataset, split), dtype=np.float64))

    def expectation(self, p: ArrayLike, dataset: str, split: str) -> float:
        """Exact expected accuracy of a cell drawn edge by edge, in percent.

        Args:
            p: (6, 5) probabilities, one row an edge, in edge and operation order.

        Raises:
            BenchmarkError: the metric is missing, for all cells or for some.
        """
        key = MetricKey(dataset, split)
        if key not in self._by_code:
            values = self.values(dataset, split)
            lacking = int(np.isnan(values).sum())
            if lacking:
                raise BenchmarkError(
                    f"table {self.name!r} has no accuracy {key} for {lacking} cells: "
                    "an expectation needs all 15,625"
                )
            self._by_code[key] = values[self._index_of_code].astype(np.float64)
        # No BLAS for so short a product: its threads cost more than they save.
        return float((cell_probabilities(p) * self._by_code[key]).sum())

    def kendall_tau(self, scores: ArrayLike, dataset: str, split: str) -> float:
        """Kendall's tau-b between (15625,) scores and the accuracies, over cells that have both."""
        from scipy.stats import kendalltau  # takes longer to import than a table to load

        array = np.asarray(scores, dtype=np.float64)
        if array.shape != (CELLS,):
            raise BenchmarkError(f"scores must have shape ({CELLS},), got {array.shape}")
        values = self.values(dataset, split)
        both = np.isfinite(array) & np.isfinite(values)
        return float(kendalltau(array[both], values[both]).statistic)

    @cached_property
    def curves(self) -> CurveFile:
        """Per-epoch accuracies and losses; BenchmarkError if the source has none."""
        if self._curve_path is None:
            raise BenchmarkError(f"table {self.name!r} has no per-epoch curves")
        return CurveFile(self._curve_path)

    def curve(
        self,
        arch: Arch,
        dataset: str,
        split: str,
        epochs: int = FULL_EPOCHS,
        seed: int | None = None,
    ) -> Floats:
        """(epochs,) accuracies in percent after each epoch, NaN where none was recorded.

        The mean over the cell's seeds, or one seed. For CIFAR-100 and ImageNet16-120 the authors
        recorded valid and test after the last epoch only. BenchmarkError if there is no curve.
        """
        check_names(dataset, split)
        key = CurveKey(*SOURCES[dataset, split], "accuracy", epochs)
        return self.curves.get(self.index_of(arch), key, seed)

    def query(self, arch: Arch, epochs: int = FULL_EPOCHS) -> dict[str, Any]:
        """All that is known of one cell, ready for JSON; None where the table has no value.

        ``parameters`` by data set; ``accuracy``, ``rank``, ``percentile`` and ``regret`` by data
        set and split, in percent, cells and percent points.
        """
        index = self.index_of(arch)
        if epochs not in self._rows:
            self._rows[epochs] = gather(self, epochs)
        return answer(self._rows[epochs], index, self.codes[index].item())

    def query_one(
        self,
        arch: Arch,
        epochs: int = FULL_EPOCHS,
        seed: int | None = None,
        epoch: int | None = None,
    ) -> dict[str, Any]:
        """As ``query``, with the accuracy of one seed or after one epoch (from 0) of its curve.

        Rank, percentile and regret are None then: they belong to the finished mean. An epoch
        outside the training raises BenchmarkError.
        """
        if seed is None and epoch is None:
            return self.query(arch, epochs)
        return answer_single(self, self.index_of(arch), epochs, seed, epoch)
