"""The result of a training: ``result.json`` of a run of kind "train"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nni_wiring.records import EpochRecord
from nni_wiring.runs.result import SearchResult

#: The parts whose accuracy stands for a training, best first.
HELD_OUT = ("test", "valid")


@dataclass(frozen=True, kw_only=True)
class TrainResult(SearchResult):
    """The trained cell as runs describe cells, and how well it does.

    Attributes:
        accuracy: after the last epoch, percent, by part of the data ("train", "valid", "test").
        accuracy_at: the same after every epoch that evaluated, by how many were done.
    """

    accuracy: Mapping[str, float] = field(default_factory=dict)
    accuracy_at: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object of ``result.json``."""
        at = {str(epochs): dict(parts) for epochs, parts in self.accuracy_at.items()}
        return super().to_json() | {"accuracy": dict(self.accuracy), "accuracy_at": at}


def accuracies_at(records: Sequence[EpochRecord]) -> dict[int, dict[str, float]]:
    """The accuracies of the epochs that evaluated held-out images, by how many were done."""
    return {
        record.epoch + 1: dict(record.accuracy)
        for record in records
        if any(part in record.accuracy for part in HELD_OUT)
    }


def held_out_accuracy(accuracy: Mapping[str, float]) -> float | None:
    """The accuracy on the test images, on the validation images where there are no others."""
    return next((accuracy[part] for part in HELD_OUT if part in accuracy), None)
