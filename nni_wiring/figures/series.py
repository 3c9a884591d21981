"""Numbers of a run's records as arrays over epochs; what a record lacks is NaN.

Records may be old, cut short or foreign, so every look-up tolerates a missing or mistyped entry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.monitor.patterns import argmax_operations
from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph

Record = Mapping[str, Any]
FloatArray = NDArray[np.float64]
PHASES = ("alpha", "weights")
_MOST_OPERATIONS = 32  # an edge with more than this is not a cell's edge


class EdgeSeries(NamedTuple):
    """A quantity per edge and operation over epochs.

    Attributes:
        epochs: epoch numbers, (T,).
        values: edge name -> operation -> (T,).
    """

    epochs: NDArray[np.int64]
    values: dict[str, dict[str, FloatArray]]

    def __bool__(self) -> bool:
        return any(self.values.values())


class CellCosts(NamedTuple):
    """Mean local cost of every cell and edge in one epoch.

    Attributes:
        phase: `alpha` or `weights`: the step it was measured in.
        edges: edge names, columns of `values`.
        values: (cells, edges), sum over operations of Z times the mean of dL/dZ.
    """

    phase: str
    edges: tuple[str, ...]
    values: FloatArray


def number(value: object) -> float:
    """`value` as a float; NaN for anything that is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return float(value) if abs(value) < 1e300 else math.nan


def dig(record: object, *keys: str) -> Any:  # noqa: ANN401
    """`record[keys[0]][keys[1]]...`, None where a level is missing or not an object."""
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def edge_numbers(value: object, graph: CellGraph = NB201) -> dict[str, dict[str, float]]:
    """An edge -> operation -> number object of a record, without what is foreign to `graph`."""
    found: dict[str, dict[str, float]] = {}
    for edge in graph.edge_names:
        operations = dig(value, edge)
        if isinstance(operations, Mapping) and len(operations) <= _MOST_OPERATIONS:
            found[edge] = {str(name): number(item) for name, item in operations.items()}
    return found


def scalar_series(records: Sequence[Record], *keys: str) -> FloatArray:
    """The number under `keys` in every record: (T,)."""
    return np.array([number(dig(record, *keys)) for record in records], dtype=np.float64)


def epoch_numbers(records: Sequence[Record]) -> NDArray[np.int64]:
    """Epoch of every record: (T,)."""
    return np.array([record["epoch"] for record in records], dtype=np.int64)


def edge_series(records: Sequence[Record], *keys: str, graph: CellGraph = NB201) -> EdgeSeries:
    """The edge -> operation -> number object under `keys` over all records."""
    rows = [edge_numbers(dig(record, *keys), graph) for record in records]
    values: dict[str, dict[str, FloatArray]] = {}
    for edge in graph.edge_names:
        names = list(dict.fromkeys(name for row in rows for name in row.get(edge, {})))
        values[edge] = {
            name: np.array([row.get(edge, {}).get(name, math.nan) for row in rows])
            for name in names
        }
    return EdgeSeries(epoch_numbers(records), values)


def cost_phase(record: Record) -> str | None:
    """The phase whose costs are shown: the alpha step's, else the weight step's, else None."""
    return next((phase for phase in PHASES if dig(record, "cost", phase, "mean")), None)


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


def cell_costs(record: Record, graph: CellGraph = NB201) -> CellCosts | None:
    """Z-weighted cost per cell and edge of one record, None if it has none.

    The operations of `cost_cells` are all of NAS-Bench-201 in its order, or those of the edge in
    `z` in its order.
    """
    z = edge_numbers(dig(record, "z"), graph)
    for phase in PHASES:
        cells = dig(record, "cost_cells", phase)
        if not isinstance(cells, Sequence) or isinstance(cells, str) or not cells:
            continue
        rows = [_cell_row(cell, z, graph) for cell in cells]
        values = np.array(rows, dtype=np.float64)
        if np.isfinite(values).any():
            return CellCosts(phase, graph.edge_names, values)
    return None


def states(records: Sequence[Record], graph: CellGraph = NB201) -> list[dict[str, str]]:
    """Operation of the largest alpha per edge, for the leading records that tell it for all edges.

    Alphas that are missing or not numbers end the history: a gap would shift later epochs.
    """
    history: list[dict[str, str]] = []
    for record in records:
        weights = edge_numbers(dig(record, "alpha"), graph) or edge_numbers(dig(record, "z"), graph)
        finite = {
            edge: {name: value for name, value in row.items() if not math.isnan(value)}
            for edge, row in weights.items()
        }
        state = argmax_operations(finite)
        if len(state) < len(graph.edge_names):
            break
        history.append(state)
    return history


def _cell_row(cell: object, z: Mapping[str, Mapping[str, float]], graph: CellGraph) -> list[float]:
    """Z-weighted cost of each edge of one cell."""
    row = [math.nan] * len(graph.edge_names)
    if not isinstance(cell, Sequence) or len(cell) != len(graph.edge_names):
        return row
    for place, edge in enumerate(graph.edge_names):
        weights, costs = z.get(edge, {}), cell[place]
        if not isinstance(costs, Sequence):
            continue
        names = OPERATIONS if len(costs) == len(OPERATIONS) else tuple(weights)
        terms = [
            weights[name] * number(cost)
            for name, cost in zip(names, costs, strict=False)
            if cost is not None and name in weights
        ]
        row[place] = sum(terms) if terms else math.nan
    return row
