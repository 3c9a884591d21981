"""A run's records as curves over epochs, ready for the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nni_wiring.figures import series
from nni_wiring.figures.series import CellCosts, EdgeSeries, FloatArray, Record
from nni_wiring.truth import SPLITS, TruthTable
from search_spaces.cell_graph import Wiring
from search_spaces.errors import SpaceError

DATASET_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16": "ImageNet16-120",
}
SPLIT_TITLES = {"valid": "validation", "test": "test"}


class Curves(NamedTuple):
    """A run's records as arrays, for the figures.

    Attributes:
        epochs: epoch numbers, (T,).
        alpha, z, cost: per edge and operation; cost is the mean of dL/dZ over cells and steps.
        edge_cost: Z-weighted cost per edge, (T,).
        phase: `alpha` or `weights`: the step that `cost` was measured in; None without costs.
        cells: Z-weighted cost per cell and edge in the last epoch, None if not recorded.
        states: operation of the largest alpha per edge and epoch.
        regret: "data set split" -> percent points below the best cell, (T,).
    """

    epochs: np.ndarray
    alpha: EdgeSeries
    z: EdgeSeries
    cost: EdgeSeries
    edge_cost: dict[str, FloatArray]
    phase: str | None
    cells: CellCosts | None
    states: list[dict[str, str]]
    regret: dict[str, FloatArray]


def run_curves(records: Sequence[Record], table: TruthTable | None, dataset: str) -> Curves:
    """Arrays of a run's `records`; regrets are those on `dataset`."""
    phases = [series.cost_phase(record) for record in records]
    phase = next((name for name in series.PHASES if name in phases), None)
    z = series.edge_series(records, "z")
    cost = series.edge_series(records, "cost", phase or "alpha", "mean")
    return Curves(
        epochs=series.epoch_numbers(records),
        alpha=series.edge_series(records, "alpha"),
        z=z,
        cost=cost,
        edge_cost=series.edge_costs(z, cost),
        phase=phase,
        cells=series.cell_costs(records[-1]) if records else None,
        states=series.states(records),
        regret=_regrets(records, table, dataset),
    )


def metric_title(dataset: str, split: str) -> str:
    """`CIFAR-10 validation` and the like."""
    return f"{DATASET_TITLES.get(dataset, dataset)} {SPLIT_TITLES.get(split, split)}"


def wiring_of(arch: str | None) -> Wiring | None:
    """The cell of an arch string; None without one, or for a cell of another benchmark."""
    try:
        return Wiring.from_arch(arch) if arch else None
    except SpaceError:
        return None


def text_or_none(value: object) -> str | None:
    """`value` if it is text that is not empty."""
    return value if isinstance(value, str) and value else None


def _regrets(
    records: Sequence[Record], table: TruthTable | None, dataset: str
) -> dict[str, FloatArray]:
    """Regret of every epoch's cell on `dataset`, from the table or, without one, as recorded."""
    found: dict[str, FloatArray] = {}
    indices = [_index(record, table) for record in records] if table else []
    for split in SPLITS:
        if table is not None and table.has(dataset, split):
            regret = table.regret(dataset, split)
            values = np.array([np.nan if i is None else regret[i] for i in indices], dtype=float)
        else:
            values = series.scalar_series(records, "truth", "regret", dataset, split)
        if np.isfinite(values).any():
            found[metric_title(dataset, split)] = values
    return found


def _index(record: Record, table: TruthTable) -> int | None:
    wiring = wiring_of(text_or_none(record.get("arch")))
    return table.index_of(wiring.indices) if wiring else None
