"""Readings of finished searches: their wiring over epochs, costs, alphas, accuracies.

The one place, with the probes, where studies touch a run's records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nni_wiring.records import EdgeTable
from nni_wiring.runs.kept import KeptRun
from nni_wiring.runs.store import RunFolder
from search_spaces.cell_graph import CellGraph
from search_spaces.patterns import NONE, Patterns, argmax_operations, patterns
from search_spaces.registry import space_entry

if TYPE_CHECKING:
    from nni_wiring.studies.frame import StudyRun


class Wired(NamedTuple):
    """One search: its patterns, and per epoch L - H (nats) on the training and the search half.

    Attributes:
        counts: G(t) over the edges that are searched; edges fixed to an operation would always
            count.
        searched: how many these are.
        margins: per searched edge that allows none, alpha of none minus the largest other alpha,
            at the last epoch; the larger, the further the edge is from being selected.
        seed: of the search.
        arch: of the derived cell; accuracy: its true one, percent.
    """

    patterns: Patterns
    counts: list[int]
    searched: int
    margins: dict[str, float]
    gap_train: list[float | None]
    gap_search: list[float | None]
    seed: int | None
    arch: str | None
    accuracy: float | None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Wired:
        """The one that `plain` wrote."""
        return cls(**{**value, "patterns": Patterns(**value["patterns"])})

    def plain(self) -> dict[str, Any]:
        """JSON-ready, for a study's part."""
        return {**self._asdict(), "patterns": self.patterns._asdict()}


def searched_wiring(run: StudyRun, label: str, search: Callable[[], RunFolder]) -> Wired:
    """The wiring of a search of a study, kept as its part ``label``."""
    return Wired.of(run.part(label, lambda: read_wired(KeptRun.of(search())).plain()))


def read_wired(search: KeptRun) -> Wired:
    """The patterns of a finished search."""
    records = search.records
    entry = space_entry(search.config["space"])
    allowed = entry.operations(search.config.get("operations"))
    fixed = [names for names in allowed.values() if len(names) == 1]
    floor = sum(names != (NONE,) for names in fixed)
    gaps = [record.loss_minus_entropy for record in records]
    history = [argmax_operations(known(record.alpha)) for record in records]
    found = patterns(history, entry.graph)
    return Wired(
        found,
        [count - floor for count in found.counts],
        len(allowed) - len(fixed),
        none_margins(records[-1].alpha),
        [gap.get("train") for gap in gaps],
        [gap.get("search") for gap in gaps],
        search.seed,
        search.arch,
        search.result.true_accuracy(),
    )


def known(table: EdgeTable) -> dict[str, dict[str, float]]:
    """The numbers of a table, without what is missing."""
    return {
        edge: {name: value for name, value in row.items() if value is not None}
        for edge, row in table.items()
    }


def none_margins(alpha: EdgeTable) -> dict[str, float]:
    """alpha of none minus the largest other alpha, for every edge that allows both."""
    return {
        edge: row[NONE] - max(value for name, value in row.items() if name != NONE)
        for edge, row in known(alpha).items()
        if NONE in row and len(row) > 1
    }


def width_margin(margins: Mapping[str, float], graph: CellGraph) -> float:
    """P2's statistic: mean margin of the intermediate edges minus that of the input edges; above 0
    if the intermediate edge is further from being selected. NaN where there is no edge of a kind.
    """
    inner, inputs = _by_role(margins, graph)
    return float(np.mean(inner) - np.mean(inputs)) if inner and inputs else float("nan")


def inner_edge_last(margins: Mapping[str, float], graph: CellGraph) -> bool | None:
    """True where an intermediate edge has the largest margin of all; None as for the margin."""
    inner, inputs = _by_role(margins, graph)
    return max(inner) > max(inputs) if inner and inputs else None


def _by_role(margins: Mapping[str, float], graph: CellGraph) -> tuple[list[float], list[float]]:
    return (
        [margins[edge] for edge in margins if graph.role(edge) == "intermediate"],
        [margins[edge] for edge in margins if graph.role(edge) == "input"],
    )


def epoch_costs(folder: RunFolder) -> list[EdgeTable]:
    """Mean local cost of every edge and operation, an epoch each: of the phase that moves alpha
    where it has one of its own, else of the weight steps. None where an operation never ran.
    """
    costs = [record.cost for record in folder.records()]
    return [(cost.get("alpha") or cost["weights"]).mean for cost in costs]


def epoch_alphas(folder: RunFolder) -> list[EdgeTable]:
    """alpha of every edge and operation, an epoch each."""
    return [record.alpha for record in folder.records()]


def epoch_archs(folder: RunFolder) -> list[str]:
    """The derived cell of every epoch, as NAS-Bench-201 spells it."""
    return [record.arch or "" for record in folder.records()]


def epoch_accuracies(folder: RunFolder) -> list[float]:
    """The supernet's accuracy on the search half, percent, an epoch each."""
    return [record.accuracy["search"] for record in folder.records()]


def mean_cost(table: EdgeTable, edges: Sequence[str] | None = None) -> float:
    """Mean over edges (all unless given) and operations but none that ran; NaN for none."""
    values = [
        value
        for edge, row in table.items()
        if edges is None or edge in edges
        for name, value in row.items()
        if name != NONE and value is not None
    ]
    return float(np.mean(values)) if values else float("nan")


def recovery_text(found: Patterns) -> str:
    """Recovery epochs by edge, ``-`` where an edge never came back."""
    parts = (
        f"{edge}:{'-' if epoch is None else epoch}" for edge, epoch in found.recovery_epochs.items()
    )
    return " ".join(parts)
