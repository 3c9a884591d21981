"""Results: of a search, and of a selection on its supernet afterwards.

Both are read tolerantly: what is missing or mistyped becomes None or empty, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nni_wiring.files.json_files import finite
from nni_wiring.files.tolerant import as_figures, as_number, as_text, pairs
from nni_wiring.records import DerivedCell, Truth


@dataclass(frozen=True, kw_only=True)
class ReadOff:
    """Cells that a selection read off a supernet.

    Attributes:
        run_id: of the search.
        selection: its name.
        truth_dataset: whose truth is shown.
        arch: the text that stands for all cells; None where they have none together.
        topology: of the only kind of cell; empty where there are several.
        truth: of the only kind of cell; None where no benchmark holds it.
        cells: the cell of every kind, by kind; empty in results before version 0.2.
    """

    run_id: str
    selection: str | None = None
    truth_dataset: str | None = None
    arch: str | None = None
    topology: Mapping[str, float | int | bool] = field(default_factory=dict)
    truth: Truth | None = None
    cells: Mapping[str, DerivedCell] = field(default_factory=dict)

    def true_accuracy(self, split: str = "valid") -> float | None:
        """The true accuracy of the cell on ``truth_dataset``, percent; None where not known."""
        if self.truth is None or self.truth_dataset is None:
            return None
        return self.truth.at(self.truth_dataset, split).accuracy

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run_id": self.run_id,
            "arch": self.arch,
            "selection": self.selection,
            "truth": None if self.truth is None else self.truth.to_json(),
            "topology": dict(self.topology) or None,
            "cells": {kind: cell.to_json() for kind, cell in self.cells.items()},
            "truth_dataset": self.truth_dataset,
        }


@dataclass(frozen=True, kw_only=True)
class SearchResult(ReadOff):
    """The result of a search: ``result.json``.

    Attributes:
        config: its settings under their option names.
        default: the number that NNI shows, percent; see ``EpochRecord.headline``.
        selection_details: how a selection at the end came to its cells; None for one that reads
            them off alpha.
        data_note: what has to be said beside results on its data.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    default: float | None = None
    selection_details: Mapping[str, Any] | None = None
    data_note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The object of ``result.json``."""
        value = super().to_json() | {"config": dict(self.config), "default": self.default}
        if self.selection_details is not None:
            value["selection_details"] = dict(self.selection_details)
        return value | {"data_note": self.data_note}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SearchResult:
        """Read what this or an earlier version wrote; of foreign ones what can be understood."""
        details = value.get("selection_details")
        return cls(
            **_cells_of(value),
            config=_plain(value.get("config")),
            default=as_number(value.get("default")),
            selection_details=_plain(details) if isinstance(details, Mapping) else None,
            data_note=as_text(value.get("data_note")),
        )


@dataclass(frozen=True, kw_only=True)
class SelectionResult(ReadOff):
    """The result of `select` on a finished search: ``selections/<selection>/result.json``.

    Attributes:
        operations: of every edge, by kind of cell, as the space spells them.
        settings: of the selection.
        details: how it came to its cells.
    """

    operations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object of the selection's ``result.json``."""
        return super().to_json() | {
            "operations": {kind: dict(edges) for kind, edges in self.operations.items()},
            "settings": dict(self.settings),
            "details": dict(self.details),
        }


def _cells_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `ReadOff`."""
    truth = Truth.from_json(value.get("truth"))
    cells = {
        kind: cell
        for kind, item in pairs(value.get("cells"))
        if (cell := DerivedCell.from_json(item, truth)) is not None
    }
    return {
        "run_id": as_text(value.get("run_id")) or "",
        "selection": as_text(value.get("selection")),
        "truth_dataset": as_text(value.get("truth_dataset")),
        "arch": as_text(value.get("arch")),
        "topology": as_figures(value.get("topology")),
        "truth": truth,
        "cells": cells,
    }


def _plain(value: object) -> dict[str, Any]:
    return dict(pairs(finite(value)))
