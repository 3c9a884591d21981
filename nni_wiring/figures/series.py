"""Numbers of a run's records as arrays over epochs; what a record lacks is NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.figures.kinds import CellKind, cell_kinds
from nni_wiring.records import EdgeTable, EpochRecord
from search_spaces.cell_graph import OPERATIONS, CellGraph
from search_spaces.patterns import argmax_operations

FloatArray = NDArray[np.float64]
PHASES = ("alpha", "weights")
_LARGEST = 1e300  # no cost is larger; a foreign file's integers may not fit a float


class EdgeSeries(NamedTuple):
    """A quantity per edge and operation over epochs.

    Attributes:
        epochs: epoch numbers, (T,).
        values: edge name -> operation -> (T,).
        graph: tells the roles of the edges; None where it is not known.
    """

    epochs: NDArray[np.int64]
    values: dict[str, dict[str, FloatArray]]
    graph: CellGraph | None = None

    def __bool__(self) -> bool:
        return any(self.values.values())


class CellCosts(NamedTuple):
    """Mean local cost of every cell and edge in one epoch.

    Attributes:
        phase: `alpha` or `weights`: the step it was measured in.
        edges: edge names, columns of `values`.
        values: (cells, edges), sum over operations of Z times the mean of dL/dZ.
        graph: tells the roles of the edges; None where it is not known.
    """

    phase: str
    edges: tuple[str, ...]
    values: FloatArray
    graph: CellGraph | None = None


def epoch_numbers(records: Sequence[EpochRecord]) -> NDArray[np.int64]:
    """Epoch of every record: (T,)."""
    return np.array([record.epoch for record in records], dtype=np.int64)


def scalar_series(
    records: Sequence[EpochRecord], read: Callable[[EpochRecord], float | None]
) -> FloatArray:
    """The values that `read` finds in the records: (T,)."""
    return np.array([_float(read(record)) for record in records], dtype=np.float64)


def edge_series(
    records: Sequence[EpochRecord], read: Callable[[EpochRecord], EdgeTable], kind: CellKind
) -> EdgeSeries:
    """The table that `read` finds, for one kind of cell, over all records."""
    rows = [kind.read(read(record)) for record in records]
    values: dict[str, dict[str, FloatArray]] = {}
    for edge in kind.edges:
        names = list(dict.fromkeys(name for row in rows for name in row.get(edge, {})))
        values[edge] = {
            name: np.array([_float(row.get(edge, {}).get(name)) for row in rows], dtype=np.float64)
            for name in names
        }
    return EdgeSeries(epoch_numbers(records), values, kind.graph)


def alpha(record: EpochRecord) -> EdgeTable:
    """Architecture parameters, by edge and operation."""
    return record.alpha


def z(record: EpochRecord) -> EdgeTable:
    """p(alpha), by edge and operation."""
    return record.z


def mean_cost(phase: str) -> Callable[[EpochRecord], EdgeTable]:
    """A reader of the mean of dL/dZ in one phase."""
    return lambda record: record.cost[phase].mean if phase in record.cost else {}


def cost_phase(records: Sequence[EpochRecord]) -> str | None:
    """The phase whose costs are shown: the alpha step's, else the weight step's, else None."""
    measured = {p for record in records for p, moments in record.cost.items() if moments.mean}
    return next((phase for phase in PHASES if phase in measured), None)


def edge_costs(z: EdgeSeries, cost: EdgeSeries) -> dict[str, FloatArray]:
    """Z-weighted cost of every edge, sum_k Z^k C^k over epochs: edge name -> (T,).

    Operations without a cost (none, one that never ran) add nothing.
    """
    found: dict[str, FloatArray] = {}
    for edge, costs in cost.values.items():
        weights = z.values.get(edge, {})
        terms = [weights[name] * costs[name] for name in costs if name in weights]
        if terms:
            stacked = np.stack(terms)
            empty = np.isnan(stacked).all(axis=0)
            found[edge] = np.where(empty, np.nan, np.nansum(stacked, axis=0))
    return found


def cell_costs(record: EpochRecord, kind: CellKind | None = None) -> CellCosts | None:
    """Z-weighted cost per cell and edge of one record, None if it has none.

    Args:
        record: its `cost_cells` go by phase, by `<kind>/<phase>` where there are several kinds of
            cell. The operations there are all that the kind's edges have in `z`, in order of
            appearance; those of the edge alone; or NAS-Bench-201's five.
        kind: whose costs; None takes the record's only kind.
    """
    if kind is None:
        kinds = cell_kinds([record])
        if len(kinds) != 1:
            return None
        [kind] = kinds
    z = kind.read(record.z)
    for phase in PHASES:
        by_phase = record.cost_cells
        cells = by_phase.get(f"{kind.name}/{phase}") or by_phase.get(phase)
        if not cells:
            continue
        values = np.array([_cell_row(cell, z, kind.edges) for cell in cells], dtype=np.float64)
        if np.isfinite(values).any():
            return CellCosts(phase, kind.edges, values, kind.graph)
    return None


def states(records: Sequence[EpochRecord], kind: CellKind) -> list[dict[str, str]]:
    """Operation of the largest alpha per edge, for the leading records that tell it for all edges.

    Alphas that are missing or not numbers end the history: a gap would shift later epochs.
    """
    history: list[dict[str, str]] = []
    for record in records:
        state = argmax_operations(_known(kind.read(record.alpha) or kind.read(record.z)))
        if len(state) < len(kind.edges):
            break
        history.append(state)
    return history


def _known(table: EdgeTable) -> dict[str, dict[str, float]]:
    """The table without its gaps."""
    return {
        edge: {name: value for name, value in row.items() if value is not None}
        for edge, row in table.items()
    }


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _cell_row(cell: object, z: EdgeTable, edges: Sequence[str]) -> list[float]:
    """Z-weighted cost of each edge of one cell."""
    row = [math.nan] * len(edges)
    if not isinstance(cell, Sequence) or isinstance(cell, str) or len(cell) != len(edges):
        return row
    every = tuple(dict.fromkeys(name for weights in z.values() for name in weights))
    for place, edge in enumerate(edges):
        weights, costs = z.get(edge, {}), cell[place]
        if isinstance(costs, Sequence) and not isinstance(costs, str):
            choices = (every, tuple(weights), OPERATIONS)
            names = next((names for names in choices if len(names) == len(costs)), ())
            row[place] = _weighted(weights, dict(zip(names, costs, strict=bool(names))))
    return row


def _weighted(weights: Mapping[str, float | None], costs: Mapping[str, object]) -> float:
    """sum_k Z^k C^k over the operations that have both; NaN if none has."""
    terms = [
        weight * float(cost)
        for name, weight in weights.items()
        if isinstance(cost := costs.get(name), (int, float))
        and weight is not None
        and abs(cost) < _LARGEST
    ]
    return sum(terms) if terms else math.nan
