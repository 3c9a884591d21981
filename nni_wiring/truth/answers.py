"""The truth of single cells, and what ``TruthTable.query`` answers, built from few array reads."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.records import Score, Truth
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.curves import CurveFile, CurveKey
from nni_wiring.truth.metrics import MetricKey, TableData
from nni_wiring.truth.standing import Standing, stand


class Columns(Protocol):
    """A table (``TruthTable``), as its answers see it."""

    data: TableData

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark whose numbers these are."""

    @property
    def curves(self) -> CurveFile:
        """Per-epoch values; BenchmarkError if the source has none."""

    def key(self, dataset: str, split: str, epochs: int | None = None) -> MetricKey:
        """The column of a data set, a split and a length of training."""

    def standing(self, dataset: str, split: str, epochs: int | None = None) -> Standing:
        """The standing of every cell in one column."""


_TOPOLOGY_FIELDS = (
    "width",
    "depth",
    "conv_depth",
    "live_edges",
    "none_edges",
    "connected",
    "intermediate_alive",
)


class Rows(NamedTuple):
    """Values, percentiles and regrets, and ranks, by official index; a column per metric."""

    floats: NDArray[np.float64]
    ranks: NDArray[np.int64]


def gather(table: Columns, epochs: int | None) -> Rows:
    """The values that ``truth_at`` reads; NaN and rank 0 where the table has none.

    Args:
        table: the table.
        epochs: length of training; None for that which counts on each data set.
    """
    benchmark = table.benchmark
    missing = stand(np.full(benchmark.cells, np.nan, dtype=np.float32))
    keys = [table.key(*column, epochs) for column in benchmark.columns]
    standings = [table.standing(*key) if key in table.data.metrics else missing for key in keys]
    columns = [s.accuracy for s in standings]
    columns += [s.percentile for s in standings]
    columns += [s.regret for s in standings]
    return Rows(np.stack(columns, axis=1), np.stack([s.rank for s in standings], axis=1))


def truth_at(benchmark: Benchmark, rows: Rows, index: int) -> Truth:
    """The truth of one cell; every column of the benchmark, UNKNOWN's Nones where it is missing."""
    floats = [None if x != x else x for x in rows.floats[index].tolist()]
    ranks = rows.ranks[index].tolist()
    count = len(ranks)
    scores = {
        column: Score(floats[i], ranks[i] or None, floats[count + i], floats[2 * count + i])
        for i, column in enumerate(benchmark.columns)
    }
    return Truth(scores, index, benchmark.name)


def single_truth(
    table: Columns, index: int, epochs: int | None, seed: int | None, epoch: int | None
) -> Truth:
    """The truth with the value of one seed, or after one epoch of the curve; no ranks.

    Raises:
        BenchmarkError: the epoch lies outside the training, or the table has no curves.
    """
    scores = {}
    for dataset, split in table.benchmark.columns:
        key = table.key(dataset, split, epochs)
        if epoch is not None and not 0 <= epoch < key.epochs:
            raise BenchmarkError(f"epoch {epoch} of {key.epochs}: allowed is 0..{key.epochs - 1}")
        scores[dataset, split] = Score(_single(table, index, key, seed, epoch))
    return Truth(scores, index, table.benchmark.name)


def _single(
    table: Columns, index: int, key: MetricKey, seed: int | None, epoch: int | None
) -> float | None:
    if epoch is None:
        metric = table.data.metrics.get(key)
        if metric is None or metric.trials is None or metric.seeds is None:
            return None
        values = metric.trials[:, index][metric.seeds[:, index] == seed]
    else:
        curves = table.curves
        source = table.benchmark.curves.get((key.dataset, key.split))
        if source is None:
            return None
        curve_key = CurveKey(*source, "accuracy", key.epochs)
        seeds = curves.seeds(index, curve_key)
        if not seeds or (seed is not None and seed not in seeds):
            return None
        values = curves.get(index, curve_key, seed)[epoch : epoch + 1]
    decimals = table.benchmark.measure(key.dataset).decimals
    return round(float(values[0]), decimals) if np.isfinite(values).any() else None


def answer(benchmark: Benchmark, truth: Truth, code: int) -> dict[str, Any]:
    """A cell's truth with its text, topology and size, ready for JSON."""
    figures = truth.to_json()
    return {
        "arch": benchmark.codec.archs[code],
        "index": truth.index,
        "topology": dict(_topology_of_codes(benchmark)[code]),
        "parameters": dict(_parameters_of_codes(benchmark)[code]),
        **{name: figures[name] for name in Score._fields},
    }


@lru_cache(maxsize=8)
def _topology_of_codes(benchmark: Benchmark) -> list[dict[str, Any]]:
    figures = benchmark.topology
    return _shared_dicts({name: getattr(figures, name) for name in _TOPOLOGY_FIELDS})


@lru_cache(maxsize=8)
def _parameters_of_codes(benchmark: Benchmark) -> list[dict[str, Any]]:
    if benchmark.parameters is None:
        return [{}] * benchmark.cells
    cells = benchmark.codec.cells
    sizes = {name: benchmark.parameters(cells, name) for name in benchmark.dataset_names}
    return _shared_dicts(sizes)


def _shared_dicts(columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """One dict per row; few rows differ, so equal ones are the same object."""
    known: dict[tuple[Any, ...], dict[str, Any]] = {}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [known.setdefault(row, dict(zip(columns, row, strict=True))) for row in rows]
