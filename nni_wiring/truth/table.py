"""TruthTable: one benchmark's numbers of every cell."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.records import UNKNOWN, Score, Truth
from nni_wiring.truth.answers import Rows, answer, gather, single_truth, truth_at
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.curves import CurveFile, CurveKey
from nni_wiring.truth.metrics import CostKey, Floats, Metric, MetricKey, TableData
from nni_wiring.truth.order import Arch, CellOrder
from nni_wiring.truth.standing import Entry, Standing, stand


class TruthTable:
    """Metrics, costs and rankings of all cells of one benchmark, by official index.

    Values are in the metric's unit (accuracies in percent), means over the seeds that the source
    has, after the benchmark's whole training unless ``epochs`` says otherwise. A value that the
    source lacks is missing: asking for it raises BenchmarkError with its name; ``truth`` and
    ``query`` have None there.
    """

    def __init__(self, name: str, data: TableData, curves: Path | None = None) -> None:
        self.name = name
        self.data = data
        self.codes = data.codes
        self.info = data.info
        self._curve_path = curves
        self._order = CellOrder(data.benchmark, data.codes)
        self._standings: dict[MetricKey, Standing] = {}
        self._rows: dict[int | None, Rows] = {}
        self._by_code: dict[MetricKey, tuple[NDArray[np.float64], NDArray[np.intp]]] = {}

    def __len__(self) -> int:
        return self.benchmark.cells

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark whose numbers these are."""
        return self.data.benchmark

    @cached_property
    def operations(self) -> NDArray[np.uint8]:
        """(cells, edges) operation indices by official index."""
        return self.benchmark.codec.cells[self.codes]

    def index_of(self, arch: Arch) -> int:
        """Official index of a cell's text, an index (checked), operation indices, or a Wiring.

        Raises:
            SpaceError: the text, the operations or the graph are not those of a cell.
            BenchmarkError: the index does not exist.
        """
        return self._order.find(arch)

    def arch(self, index: int) -> str:
        """The text of the cell with an official index."""
        return self.benchmark.codec.archs[self.codes[self.index_of(index)].item()]

    def key(self, dataset: str, split: str, epochs: int | None = None) -> MetricKey:
        """The column's key, epochs spelt out; BenchmarkError for an unknown name."""
        self.benchmark.check(dataset, split)
        return MetricKey(dataset, split, epochs or self.benchmark.full_epochs(dataset))

    @property
    def metrics(self) -> list[MetricKey]:
        """The columns that this table has."""
        return list(self.data.metrics)

    def has(self, dataset: str, split: str, epochs: int | None = None) -> bool:
        """True where the table has this column."""
        return self.key(dataset, split, epochs) in self.data.metrics

    def metric(self, dataset: str, split: str, epochs: int | None = None) -> Metric:
        """Mean and single seeds of one column; BenchmarkError naming it if it is missing."""
        key = self.key(dataset, split, epochs)
        if key not in self.data.metrics:
            present = ", ".join(map(str, self.data.metrics)) or "none"
            measure = self.benchmark.measure(dataset)
            raise BenchmarkError(
                f"table {self.name!r} has no {measure.name} {key} (data set/split@epochs); "
                f"it has: {present}"
            )
        return self.data.metrics[key]

    def values(
        self, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> Floats:
        """(cells,) float32 values in the metric's unit; NaN for a cell that the source lacks.

        Args:
            dataset, split, epochs: the column.
            seed: None for the mean over seeds, else one seed (NaN where a cell has not run it).

        Raises:
            BenchmarkError: the metric or the seed is missing; the line names it.
        """
        metric = self.metric(dataset, split, epochs)
        if seed is None:
            return metric.mean
        key = self.key(dataset, split, epochs)
        single = metric.of_seed(seed)
        if single is None:
            listed = ", ".join(map(str, metric.known_seeds())) or "none, only the mean"
            raise BenchmarkError(
                f"table {self.name!r} has no seed {seed} for {key}; known seeds: {listed}"
            )
        return single

    def seconds(self, dataset: str, epochs: int | None = None) -> Floats:
        """(cells,) seconds to train each cell and, where known, to validate it once.

        Of NAS-Bench-201's cifar10 it is the training on 25,000 images, which a search pays for.
        BenchmarkError if the source has no training times.
        """
        epochs = epochs or self.benchmark.full_epochs(dataset)
        costs = self.data.costs
        key = CostKey("train_epoch", dataset)
        if key not in costs:
            raise BenchmarkError(f"table {self.name!r} has no training times for {dataset}")
        validation = costs.get(CostKey("valid_pass", dataset), np.float32(0.0))
        return costs[key] * np.float32(epochs) + validation

    def standing(self, dataset: str, split: str, epochs: int | None = None) -> Standing:
        """Value, rank, percentile and regret of every cell; computed once and kept."""
        key = self.key(dataset, split, epochs)
        if key not in self._standings:
            self._standings[key] = stand(self.values(*key), self.benchmark.measure(dataset))
        return self._standings[key]

    def rank(self, dataset: str, split: str) -> NDArray[np.int64]:
        """(cells,) ranks, 1 is the best; ties share the smaller rank; 0 for a missing cell."""
        return self.standing(dataset, split).rank

    def percentile(self, dataset: str, split: str) -> NDArray[np.float64]:
        """(cells,) percent of the cells that are not better than this one; the best has 100."""
        return self.standing(dataset, split).percentile

    def regret(self, dataset: str, split: str) -> NDArray[np.float64]:
        """(cells,) distance to the best cell, in the metric's unit."""
        return self.standing(dataset, split).regret

    def top(self, k: int, dataset: str, split: str, epochs: int | None = None) -> list[Entry]:
        """The k best cells, best first; of equal ones the smaller index first."""
        if not 1 <= k <= len(self):
            raise BenchmarkError(f"top {k}: allowed is 1..{len(self)}")
        values = self.values(dataset, split, epochs)
        standing = self.standing(dataset, split, epochs)
        goodness = self.benchmark.measure(dataset).sign * values
        order = np.argsort(-goodness, kind="stable")[: min(k, int(np.isfinite(values).sum()))]
        return [
            Entry(standing.rank[i].item(), i, self.arch(i), standing.accuracy[i].item())
            for i in order.tolist()
        ]

    def optimum(self, dataset: str, split: str) -> Entry:
        """The best cell."""
        return self.top(1, dataset, split)[0]

    def mean(self, dataset: str, split: str) -> float:
        """Mean value of a uniformly drawn cell."""
        return float(np.nanmean(self.values(dataset, split), dtype=np.float64))

    def expectation(self, p: ArrayLike, dataset: str, split: str) -> float:
        """Exact expected value of a cell drawn edge by edge.

        Args:
            p: (edges, operations) probabilities, one row per edge, in the benchmark's order of
                edges and operations.

        Raises:
            BenchmarkError: the metric is missing, for all cells or for some that can be drawn.
        """
        return self._expected(self.benchmark.codec.probabilities(p), dataset, split)

    def _expected(self, weights: NDArray[np.float64], dataset: str, split: str) -> float:
        """The sum of weighted values; cells of weight 0 may be missing."""
        key = self.key(dataset, split)
        if key not in self._by_code:
            by_code = self.values(*key)[self._order.index_of_code].astype(np.float64)
            gaps = np.flatnonzero(np.isnan(by_code))
            self._by_code[key] = np.nan_to_num(by_code), gaps
        values, gaps = self._by_code[key]
        lacking = int((weights[gaps] > 0).sum())
        if lacking:
            raise BenchmarkError(
                f"table {self.name!r} has no {self.benchmark.measure(dataset).name} {key} for "
                f"{lacking} cells: an expectation needs all cells that can be drawn"
            )
        return _dot(weights, values)

    def truth(self, arch: Arch, epochs: int | None = None) -> Truth:
        """The truth of one cell: a Score for every column of the benchmark, its figures None where
        the table has no value.
        """
        index = self.index_of(arch)
        if epochs not in self._rows:
            self._rows[epochs] = gather(self, epochs)
        return truth_at(self.benchmark, self._rows[epochs], index)

    def expected_truth(self, p: ArrayLike) -> Truth:
        """The exact expectations of a cell drawn edge by edge, as ``expectation``.

        A column that lacks a cell that can be drawn is UNKNOWN.
        """
        weights = self.benchmark.codec.probabilities(p)
        scores = {}
        for column in self.benchmark.columns:
            try:
                scores[column] = Score(self._expected(weights, *column))
            except BenchmarkError:
                scores[column] = UNKNOWN
        return Truth(scores, None, self.benchmark.name)

    def kendall_tau(self, scores: ArrayLike, dataset: str, split: str) -> float:
        """Kendall's tau-b between (cells,) scores and the truth, over cells that have both.

        Positive where a larger score means a better cell, also for a metric that is to be small.
        """
        from scipy.stats import kendalltau  # takes longer to import than a table to load

        array = np.asarray(scores, dtype=np.float64)
        if array.shape != (len(self),):
            raise BenchmarkError(f"scores must have shape ({len(self)},), got {array.shape}")
        values = self.benchmark.measure(dataset).sign * self.values(dataset, split)
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
        epochs: int | None = None,
        seed: int | None = None,
    ) -> Floats:
        """(epochs,) accuracies in percent after each epoch, NaN where none was recorded.

        The mean over the cell's seeds, or one seed. For CIFAR-100 and ImageNet16-120 the authors of
        NAS-Bench-201 recorded valid and test after the last epoch only. BenchmarkError if there is
        no curve.
        """
        key = self.key(dataset, split, epochs)
        curves = self.curves
        if (dataset, split) not in self.benchmark.curves:
            raise BenchmarkError(f"{self.benchmark.title} has no per-epoch curves of {key}")
        source = self.benchmark.curves[dataset, split]
        return curves.get(self.index_of(arch), CurveKey(*source, "accuracy", key.epochs), seed)

    def query(self, arch: Arch, epochs: int | None = None) -> dict[str, Any]:
        """The truth of one cell with its text, topology and size, ready for JSON.

        ``parameters`` by data set; ``accuracy``, ``rank``, ``percentile`` and ``regret`` by data
        set and split, in the metric's unit, cells, percent and the metric's unit; None where the
        table has no value.
        """
        return self._answer(self.truth(arch, epochs))

    def query_one(
        self,
        arch: Arch,
        epochs: int | None = None,
        seed: int | None = None,
        epoch: int | None = None,
    ) -> dict[str, Any]:
        """As ``query``, with the accuracy of one seed or after one epoch (from 0) of its curve.

        Rank, percentile and regret are None then: they belong to the finished mean. An epoch
        outside the training raises BenchmarkError.
        """
        if seed is None and epoch is None:
            return self.query(arch, epochs)
        return self._answer(single_truth(self, self.index_of(arch), epochs, seed, epoch))

    def _answer(self, truth: Truth) -> dict[str, Any]:
        assert truth.index is not None
        return answer(self.benchmark, truth, self.codes[truth.index].item())


def _dot(weights: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Their scalar product, without BLAS: for one so short its threads cost more than they save."""
    return float((weights * values).sum())
