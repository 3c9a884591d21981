"""The records of one kind of cell as curves over epochs, ready for sentences and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nni_wiring.figures import series
from nni_wiring.figures.kinds import CellKind, cell_kinds
from nni_wiring.figures.series import CellCosts, EdgeSeries, FloatArray
from nni_wiring.records import EdgeTable, EpochRecord
from search_spaces.patterns import NONE, Patterns, patterns


@dataclass(frozen=True, eq=False)
class KindCurves:
    """One kind of cell over the epochs.

    Attributes:
        kind: its name, edges and graph.
        alpha, z, cost: per edge and operation; cost is the mean of dL/dZ over cells and steps.
        edge_cost: Z-weighted cost per edge, (T,).
        phase: `alpha` or `weights`: the step that `cost` was measured in; None without costs.
        cells: Z-weighted cost per cell and edge in the last epoch, None if not recorded.
        states: operation of the largest alpha per edge and epoch.
        patterns: None before the first epoch, and for a kind whose graph is not known.
    """

    kind: CellKind
    alpha: EdgeSeries
    z: EdgeSeries
    cost: EdgeSeries
    edge_cost: dict[str, FloatArray]
    phase: str | None
    cells: CellCosts | None
    states: list[dict[str, str]]
    patterns: Patterns | None

    @property
    def none_allowed(self) -> bool:
        """True where none could be chosen on some edge."""
        tables = (self.alpha.values, self.z.values)
        return any(NONE in row for values in tables for row in values.values())

    def last_cost(self) -> EdgeTable:
        """The last epoch's mean cost by the name that the record gives the edge."""
        keys = dict(zip(self.kind.edges, self.kind.keys, strict=True))
        return {
            keys[edge]: {name: _finite(values[-1]) for name, values in operations.items()}
            for edge, operations in self.cost.values.items()
            if operations
        }

    def last_z(self, chosen: dict[str, str]) -> dict[str, float]:
        """Z of the operations `chosen` (by edge) in the last epoch, where it is known."""
        found = {}
        for edge, operation in chosen.items():
            values = self.z.values.get(edge, {}).get(operation)
            if values is not None and np.isfinite(values[-1]):
                found[edge] = float(values[-1])
        return found


def run_curves(records: Sequence[EpochRecord]) -> tuple[KindCurves, ...]:
    """The curves of every kind of cell that the records tell of."""
    kinds = cell_kinds(records)
    return tuple(_curves(records, kind) for kind in kinds)


def _curves(records: Sequence[EpochRecord], kind: CellKind) -> KindCurves:
    phase = series.cost_phase(records)
    z = series.edge_series(records, series.z, kind)
    cost = series.edge_series(records, series.mean_cost(phase or "alpha"), kind)
    states = series.states(records, kind)
    graph = kind.graph
    return KindCurves(
        kind=kind,
        alpha=series.edge_series(records, series.alpha, kind),
        z=z,
        cost=cost,
        edge_cost=series.edge_costs(z, cost),
        phase=phase,
        cells=series.cell_costs(records[-1], kind),
        states=states,
        patterns=patterns(states, graph) if states and graph is not None else None,
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
