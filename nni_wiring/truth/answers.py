"""What ``TruthTable.query`` answers for one cell, built from few array reads."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import formulas
from nni_wiring.truth.curves import SOURCES, CurveKey
from nni_wiring.truth.metrics import CELLS, DATASETS, SPLITS, MetricKey
from nni_wiring.truth.order import arch_strings
from nni_wiring.truth.standing import DECIMALS, stand
from search_spaces.cell_graph import all_cells, all_topology

if TYPE_CHECKING:
    from nni_wiring.truth.table import TruthTable

_TOPOLOGY_FIELDS = (
    "width",
    "depth",
    "conv_depth",
    "live_edges",
    "none_edges",
    "connected",
    "intermediate_alive",
)
_STARTS = tuple((dataset, number * len(SPLITS)) for number, dataset in enumerate(DATASETS))
_COLUMNS = len(DATASETS) * len(SPLITS)


class Rows(NamedTuple):
    """Accuracy, percentile, regret, and ranks, by official index; a column a metric."""

    floats: NDArray[np.float64]
    ranks: NDArray[np.int64]


def gather(table: TruthTable, epochs: int) -> Rows:
    """What ``answer`` reads of a table; NaN and rank 0 where it has no value."""
    missing = stand(np.full(CELLS, np.nan, dtype=np.float32))
    keys = [MetricKey(dataset, split, epochs) for dataset in DATASETS for split in SPLITS]
    standings = [table.standing(*key) if key in table.data.metrics else missing for key in keys]
    columns = [s.accuracy for s in standings]
    columns += [s.percentile for s in standings]
    columns += [s.regret for s in standings]
    return Rows(np.stack(columns, axis=1), np.stack([s.rank for s in standings], axis=1))


def answer(rows: Rows, index: int, code: int) -> dict[str, Any]:
    """The answer for one cell, ready for JSON."""
    floats = [None if x != x else x for x in rows.floats[index].tolist()]
    return {
        "arch": arch_strings()[code],
        "index": index,
        "topology": dict(_topology_of_codes()[code]),
        "parameters": dict(_parameters_of_codes()[code]),
        "accuracy": _nest(floats, 0),
        "rank": _nest([x or None for x in rows.ranks[index].tolist()], 0),
        "percentile": _nest(floats, _COLUMNS),
        "regret": _nest(floats, 2 * _COLUMNS),
    }


def answer_single(
    table: TruthTable, index: int, epochs: int, seed: int | None, epoch: int | None
) -> dict[str, Any]:
    """The answer with the accuracy of one seed, or after one epoch of the curve.

    Raises:
        BenchmarkError: the epoch lies outside the training, or the table has no curves.
    """
    if epoch is not None and not 0 <= epoch < epochs:
        raise BenchmarkError(f"epoch {epoch} of {epochs}: allowed is 0..{epochs - 1}")
    found = table.query(index, epochs)
    for name in ("rank", "percentile", "regret"):
        found[name] = {dataset: dict.fromkeys(SPLITS) for dataset in DATASETS}
    found["accuracy"] = {
        dataset: {
            split: _single(table, index, MetricKey(dataset, split, epochs), seed, epoch)
            for split in SPLITS
        }
        for dataset in DATASETS
    }
    return found


def _single(
    table: TruthTable, index: int, key: MetricKey, seed: int | None, epoch: int | None
) -> float | None:
    if epoch is None:
        metric = table.data.metrics.get(key)
        if metric is None or metric.trials is None or metric.seeds is None:
            return None
        values = metric.trials[:, index][metric.seeds[:, index] == seed]
    else:
        curve_key = CurveKey(*SOURCES[key.dataset, key.split], "accuracy", key.epochs)
        seeds = table.curves.seeds(index, curve_key)
        if not seeds or (seed is not None and seed not in seeds):
            return None
        values = table.curves.get(index, curve_key, seed)[epoch : epoch + 1]
    return round(float(values[0]), DECIMALS) if np.isfinite(values).any() else None


def _nest(values: list[Any], start: int) -> dict[str, dict[str, Any]]:
    return {d: {"valid": values[start + i], "test": values[start + i + 1]} for d, i in _STARTS}


@lru_cache(maxsize=1)
def _topology_of_codes() -> list[dict[str, Any]]:
    figures = all_topology()
    return _shared_dicts({name: getattr(figures, name) for name in _TOPOLOGY_FIELDS})


@lru_cache(maxsize=1)
def _parameters_of_codes() -> list[dict[str, Any]]:
    return _shared_dicts({name: formulas.parameters(all_cells(), name) for name in DATASETS})


def _shared_dicts(columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """One dict a row; few rows differ, so equal ones are the same object."""
    known: dict[tuple[Any, ...], dict[str, Any]] = {}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [known.setdefault(row, dict(zip(columns, row, strict=True))) for row in rows]
