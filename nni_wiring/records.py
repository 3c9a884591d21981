"""The values that everything downstream of a search takes: Truth, DerivedCell, EpochRecord.

Each is parsed once, from JSON of any earlier version or of unknown origin: what is missing or
mistyped becomes None or empty, never an error. ``to_json`` writes what ``from_json`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nni_wiring.files.json_files import finite
from nni_wiring.files.tolerant import (
    as_count,
    as_figures,
    as_number,
    as_numbers,
    as_text,
    dig,
    pairs,
)
from search_spaces.cell_graph import CellGraph
from search_spaces.graph_json import graph_from_json, graph_to_json

#: A number per edge and operation: {edge: {operation: value}}; None where there is none.
EdgeTable = dict[str, dict[str, float | None]]

#: An edge with more operations than this is not a cell's edge.
_MOST_OPERATIONS = 64
_SCORES = ("accuracy", "rank", "percentile", "regret")


class Score(NamedTuple):
    """One cell's standing in one column of a benchmark; None for what is not known.

    Attributes:
        accuracy: the benchmark's metric, for accuracies in percent.
        rank: 1 is the best.
        percentile: percent of the cells that are not better.
        regret: distance to the best cell, in the metric's unit.
    """

    accuracy: float | None = None
    rank: int | None = None
    percentile: float | None = None
    regret: float | None = None


UNKNOWN = Score()


@dataclass(frozen=True)
class Truth:
    """The benchmark's word on one cell, or its expectation under p(alpha).

    Attributes:
        scores: by (data set, split).
        index: the cell's index in the benchmark; None for an expectation.
        benchmark: the benchmark's name; NAS-Bench-201 in records that do not say.
    """

    scores: Mapping[tuple[str, str], Score] = field(default_factory=dict)
    index: int | None = None
    benchmark: str = "nasbench201"

    def at(self, dataset: str, split: str) -> Score:
        """The cell's standing in one column; UNKNOWN where there is none."""
        return self.scores.get((dataset, split), UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        """{"benchmark", "index", "accuracy" | "rank" | "percentile" | "regret": {data set:
        {split: value}}}.
        """
        value: dict[str, Any] = {"benchmark": self.benchmark, "index": self.index}
        for name in _SCORES:
            tree: dict[str, dict[str, float | None]] = {}
            for (dataset, split), score in self.scores.items():
                tree.setdefault(dataset, {})[split] = getattr(score, name)
            value[name] = tree
        return value

    @classmethod
    def from_json(cls, value: object) -> Truth | None:
        """Read ``to_json``'s form, and that of `benchmark query`; None for anything else."""
        if not isinstance(value, Mapping):
            return None
        if not any(isinstance(value.get(name), Mapping) for name in _SCORES):
            return None
        columns = dict.fromkeys(
            (str(dataset), str(split))
            for name in _SCORES
            for dataset, splits in pairs(value.get(name))
            for split, _ in pairs(splits)
        )
        scores = {}
        for dataset, split in columns:
            accuracy, rank, percentile, regret = (
                as_number(dig(value, name, dataset, split)) for name in _SCORES
            )
            whole = None if rank is None else int(rank)
            scores[dataset, split] = Score(accuracy, whole, percentile, regret)
        benchmark = value.get("benchmark")
        return cls(
            scores,
            as_count(value.get("index")),
            benchmark if isinstance(benchmark, str) and benchmark else cls.benchmark,
        )


@dataclass(frozen=True)
class DerivedCell:
    """The cell of one kind that was read off a supernet.

    Attributes:
        kind: its label ("cell"; "normal" and "reduce" in DARTS' spaces).
        operations: the operation of every edge.
        graph: None for a lone LayerChoice, or where a record does not tell.
        arch: the cell as its benchmark or its paper spells it; None where it has no such form.
        topology: width, depth, conv_depth, live_edges, ...; empty where they are not defined.
        truth: None where no benchmark holds the cell.
    """

    kind: str
    operations: Mapping[str, str]
    graph: CellGraph | None = None
    arch: str | None = None
    topology: Mapping[str, float | int | bool] = field(default_factory=dict)
    truth: Truth | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; the truth is left to the record or result that holds the cell."""
        return {
            "kind": self.kind,
            "operations": dict(self.operations),
            "graph": graph_to_json(self.graph),
            "arch": self.arch,
            "topology": dict(self.topology),
        }

    @classmethod
    def from_json(cls, value: object, truth: Truth | None = None) -> DerivedCell | None:
        """Read ``to_json``'s form; None for anything else."""
        if not isinstance(value, Mapping) or not isinstance(value.get("operations"), Mapping):
            return None
        operations = {str(e): o for e, o in value["operations"].items() if isinstance(o, str)}
        return cls(
            kind=str(value.get("kind", "cell")),
            operations=operations,
            graph=graph_from_json(value.get("graph")),
            arch=as_text(value.get("arch")),
            topology=as_figures(value.get("topology")),
            truth=truth,
        )


@dataclass(frozen=True)
class CostMoments:
    """Moments of the local cost dL/dZ of one phase of one epoch, pooled over cells and steps."""

    mean: EdgeTable
    variance: EdgeTable
    count: EdgeTable

    def to_json(self) -> dict[str, EdgeTable]:
        """{"mean" | "variance" | "count": {edge: {operation: value}}}."""
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    @classmethod
    def from_json(cls, value: object) -> CostMoments:
        """Read ``to_json``'s form."""
        return cls(*(edge_table(dig(value, name)) for name in ("mean", "variance", "count")))


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a search: a line of ``epochs.jsonl``.

    Attributes:
        epoch: from 0. seconds: it took. steps: search steps in it.
        gradient_norm: mean norm before clipping, by "weights" and "alpha".
        loss, entropy, loss_minus_entropy: nats, by part of the data ("train", "search").
        accuracy: of the supernet, percent, by part.
        alpha, z: alpha and p(alpha) per edge and operation.
        cost: moments of dL/dZ by phase ("weights", "alpha").
        cost_cells: mean cost by phase: `[cell][edge][operation]`.
        cells: the derived cell of every kind, by kind.
        arch: the derived cell as text, where it has such a form.
        topology, topology_expected: figures of the cell, and their expectations under p(alpha).
        truth, truth_expected: the benchmark's word on both.
        pattern: growing_index, width_preference, recovery_epochs, ...
        statistics: what further statistics recorded, by their names.
    """

    epoch: int
    seconds: float | None = None
    steps: int | None = None
    gradient_norm: Mapping[str, float] = field(default_factory=dict)
    loss: Mapping[str, float] = field(default_factory=dict)
    entropy: Mapping[str, float] = field(default_factory=dict)
    loss_minus_entropy: Mapping[str, float] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    alpha: EdgeTable = field(default_factory=dict)
    z: EdgeTable = field(default_factory=dict)
    cost: Mapping[str, CostMoments] = field(default_factory=dict)
    cost_cells: Mapping[str, list[Any]] = field(default_factory=dict)
    cells: Mapping[str, DerivedCell] = field(default_factory=dict)
    arch: str | None = None
    topology: Mapping[str, float | int | bool] = field(default_factory=dict)
    topology_expected: Mapping[str, float | int | bool] = field(default_factory=dict)
    truth: Truth | None = None
    truth_expected: Truth | None = None
    pattern: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)

    def headline(self, dataset: str, truth: Truth | None = None) -> float | None:
        """The one number of a search: the derived cell's true validation accuracy in percent.

        Where the space has no truth: the supernet's accuracy on the search half, then on the
        training half. truth: of another cell, in the place of the record's own.
        """
        truth = truth or self.truth
        if truth is not None:
            return truth.at(dataset, "valid").accuracy
        return self.accuracy.get("search", self.accuracy.get("train"))

    def to_json(self) -> dict[str, Any]:
        """The line's object: plain values, empty parts left out."""
        value: dict[str, Any] = {"epoch": self.epoch, "seconds": self.seconds, "steps": self.steps}
        value |= {name: dict(getattr(self, name)) for name in _BY_PART}
        value |= {"alpha": self.alpha, "z": self.z}
        value["cost"] = {phase: moments.to_json() for phase, moments in self.cost.items()}
        value["cost_cells"] = dict(self.cost_cells)
        value["cells"] = {kind: cell.to_json() for kind, cell in self.cells.items()}
        value["arch"] = self.arch
        value |= {name: dict(getattr(self, name)) for name in _FIGURES}
        for name in ("truth", "truth_expected"):
            truth: Truth | None = getattr(self, name)
            value[name] = None if truth is None else truth.to_json()
        value |= {"pattern": dict(self.pattern), "statistics": dict(self.statistics)}
        return {k: v for k, v in value.items() if v not in (None, {}) or k == "epoch"}

    @classmethod
    def from_json(cls, value: object) -> EpochRecord:
        """Read a line of this or an earlier version; of foreign ones what can be understood.

        Raises:
            ValueError: it has no epoch number.
        """
        epoch = as_count(dig(value, "epoch"))
        if epoch is None:
            raise ValueError("a record without an epoch number")
        assert isinstance(value, Mapping)
        truth, cost_cells = Truth.from_json(value.get("truth")), value.get("cost_cells")
        cells = {
            kind: cell
            for kind, item in pairs(value.get("cells"))
            if (cell := DerivedCell.from_json(item, truth)) is not None
        }
        return cls(
            epoch=epoch,
            seconds=as_number(value.get("seconds")),
            steps=as_count(value.get("steps")),
            **{name: as_numbers(value.get(name)) for name in _BY_PART},
            alpha=edge_table(value.get("alpha")),
            z=edge_table(value.get("z")),
            cost={k: CostMoments.from_json(v) for k, v in pairs(value.get("cost"))},
            cost_cells={k: v for k, v in pairs(finite(cost_cells)) if isinstance(v, list)},
            cells=cells,
            arch=as_text(value.get("arch")),
            **{name: as_figures(value.get(name)) for name in _FIGURES},
            truth=truth,
            truth_expected=Truth.from_json(value.get("truth_expected")),
            pattern=dict(pairs(finite(value.get("pattern")))),
            statistics=dict(pairs(finite(value.get("statistics")))),
        )


_BY_PART = ("gradient_norm", "loss", "entropy", "loss_minus_entropy", "accuracy")
_FIGURES = ("topology", "topology_expected")


def edge_table(value: object) -> EdgeTable:
    """An {edge: {operation: number}} object, without what is foreign to one."""
    return {
        edge: {name: as_number(number) for name, number in pairs(row)}
        for edge, row in pairs(value)
        if isinstance(row, Mapping) and len(row) <= _MOST_OPERATIONS
    }
