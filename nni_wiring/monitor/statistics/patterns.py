"""The wiring patterns over the epochs so far: growing index, width preference, recovery epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from nni_wiring.monitor.epoch import Epoch, Reading, View
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.records import EpochRecord
from search_spaces.patterns import argmax_operations, patterns

_TAGS = ("growing_index", "width_preference", "selected_edges")

#: Per epoch, edge -> operation of the largest alpha.
History = list[dict[str, str]]


class WiringPatterns(Statistic):
    """``pattern``: the figures of a space with one kind of cell, or {kind: figures}; of cells with
    a graph.
    """

    name: ClassVar[str] = "patterns"
    fields: ClassVar[tuple[str, ...]] = ("pattern",)

    def __init__(self) -> None:
        self._history: dict[str, History] = {}

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """See the base class."""
        found = {
            kind: figures
            for kind, reading in epoch.readings.items()
            if (figures := self._figures("" if epoch.only else kind, reading)) is not None
        }
        return {"pattern": next(iter(found.values()), {}) if epoch.only else found}

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """pattern/<figure>, pattern/<kind>/<figure> where there are several kinds."""
        if len(record.cells) <= 1:
            return {f"pattern/{name}": record.pattern.get(name) for name in _TAGS}
        return {
            f"pattern/{kind}/{name}": figures.get(name)
            for kind, figures in record.pattern.items()
            for name in _TAGS
        }

    def state(self) -> dict[str, Any]:
        """The histories, by kind; that of the only kind under the empty name."""
        return {kind: [dict(state) for state in past] for kind, past in self._history.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self._history = {kind: [dict(one) for one in past] for kind, past in state.items()}

    def _figures(self, kind: str, reading: Reading) -> dict[str, Any] | None:
        """Add the epoch to the history of a kind and measure it."""
        graph, history = reading.group.graph, self._history.setdefault(kind, [])
        alpha = reading.table(reading.alpha, reading.group.edges)
        history.append(argmax_operations(cast("dict[str, dict[str, float]]", alpha)))
        if graph is None:
            return None
        found = patterns(history, graph)
        return {
            "selected_edges": found.selected_edges,
            "growing_index": found.growing_index,
            "width_preference": found.width_preference,
            "recovery_epochs": dict(found.recovery_epochs),
        }
