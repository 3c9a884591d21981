"""Explanation: what is known of one cell, edge by edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nni_wiring.explain.decisions import EdgeDecision
from nni_wiring.explain.noise import TruthNoise
from nni_wiring.explain.other_selections import SelectedCell
from nni_wiring.explain.repairs import Repair
from nni_wiring.explain.timeline import EpochStep


@dataclass(frozen=True)
class BestCell:
    """The best cell of the benchmark; of several equal ones the nearest to the explained cell.

    Attributes:
        ties: how many cells share this accuracy.
    """

    arch: str
    index: int
    accuracy: float
    ties: int


@dataclass(frozen=True)
class EdgeExplanation:
    """One edge of the cell.

    Attributes:
        edge: its name.
        operation: what the cell has there; None where a run without truth does not tell.
        best_operation: what the best cell has there; None without truth.
        shapley: percent points of the regret that the edge's choice accounts for; below 0 where
            the choice is better than the best cell's. None without truth.
        choices: accuracy with every operation there, all else equal; the cell's own is one of
            them. None where the table lacks it; empty without truth.
        decision: of the run; None without one.
    """

    edge: str
    operation: str | None
    best_operation: str | None = None
    shapley: float | None = None
    choices: Mapping[str, float | None] = field(default_factory=dict)
    decision: EdgeDecision | None = None


@dataclass(frozen=True)
class Explanation:
    """The reasons for a chosen cell, and the cost of each choice.

    Attributes:
        arch, index: the cell; no index without truth, no arch where a run's cell has no such form.
        run_id: None for a cell alone.
        benchmark, table: whose truth it is, and the table's name; None without truth.
        dataset, split: the accuracy.
        accuracy: percent. regret: percent points below `best`.
        noise: what other trainings would do to it; None without truth.
        best: the nearest best cell.
        edges: in the cell's order; the shares add up to the regret.
        repairs: best change of one edge, and of two where that gains more.
        epochs: the cells that the run passed by; empty for a cell alone or without truth.
        selections: the cells that each selection would have read off the same supernet, by epoch;
            empty for a cell alone, without truth, or where none was recorded.
        notes: what has to be said beside the figures.
    """

    arch: str | None
    edges: tuple[EdgeExplanation, ...]
    run_id: str | None = None
    benchmark: str | None = None
    table: str | None = None
    dataset: str | None = None
    split: str | None = None
    index: int | None = None
    accuracy: float | None = None
    regret: float | None = None
    noise: TruthNoise | None = None
    best: BestCell | None = None
    repairs: tuple[Repair, ...] = ()
    epochs: tuple[EpochStep, ...] = ()
    selections: tuple[SelectedCell, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def metric(self) -> tuple[str | None, ...]:
        """The subject of the truth: benchmark, table, data set, split."""
        return self.benchmark, self.table, self.dataset, self.split

    @property
    def attributed(self) -> bool:
        """True where every edge has its share of the regret."""
        return bool(self.edges) and all(edge.shapley is not None for edge in self.edges)

    @property
    def worst_first(self) -> tuple[EdgeExplanation, ...]:
        """The edges by falling share of the regret; in the cell's order where there is none."""
        return tuple(sorted(self.edges, key=lambda edge: -(edge.shapley or 0.0)))

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values; fields are only ever added to this form."""
        return asdict(self)
