"""Loss, output entropy and accuracy of the recorded forward passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch

from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.notes import Step
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.records import EpochRecord

#: Where each phase's data comes from: alpha descends on the search half, all else on the training
#: data.
PART_OF_PHASE = {"weights": "train", "joint": "train", "alpha": "search"}
_FIGURES = ("loss", "entropy", "loss_minus_entropy", "accuracy")


class Phases(Statistic):
    """``loss``, ``entropy``, ``loss_minus_entropy`` and ``accuracy`` by part of the data ("train",
    "search").
    """

    name: ClassVar[str] = "phases"
    fields: ClassVar[tuple[str, ...]] = _FIGURES

    def __init__(self) -> None:
        self._running: dict[str, RunningPhase] = {}

    def reset(self) -> None:
        """See the base class."""
        self._running = {}

    def observe(self, step: Step) -> None:
        """See the base class."""
        for phase, logits, labels in step.outputs:
            self._running.setdefault(phase, RunningPhase()).add(logits, labels)

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """See the base class."""
        found: dict[str, Any] = {name: {} for name in _FIGURES}
        for phase, running in self._running.items():
            means = running.read()
            for name in _FIGURES if means is not None else ():
                found[name][PART_OF_PHASE[phase]] = getattr(means, name)
        return found

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """loss/<part> and entropy/<part>."""
        return {
            f"{name}/{part}": value
            for name, values in (("loss", record.loss), ("entropy", record.entropy))
            for part, value in values.items()
        }


class PhaseMeans(NamedTuple):
    """Means over the images of one phase of one epoch.

    Attributes:
        loss: cross-entropy L, nats.
        entropy: H(softmax of the logits), nats.
        accuracy: percent.
        images: how many.
    """

    loss: float
    entropy: float
    accuracy: float
    images: int

    @property
    def loss_minus_entropy(self) -> float:
        """L - H: the sum of the costs of the last cell's output edges under a bias-free head
        (theory page, fact 1).
        """
        return self.loss - self.entropy


class RunningPhase:
    """Streaming sums for :class:`PhaseMeans`."""

    def __init__(self) -> None:
        self._sums: torch.Tensor | None = None
        self._images = 0

    @torch.no_grad()
    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count one batch: logits (n, classes), labels (n,) int64."""
        log_p = torch.log_softmax(logits.detach().float(), dim=-1)
        loss = -log_p.gather(1, labels.unsqueeze(1)).sum()
        entropy = -(log_p.exp() * log_p).sum()
        correct = (logits.argmax(dim=-1) == labels).sum().to(loss.dtype)
        sums = torch.stack([loss, entropy, correct])
        self._sums = sums if self._sums is None else self._sums + sums
        self._images += len(labels)

    def read(self) -> PhaseMeans | None:
        """The means so far (one device read), or None if nothing was counted."""
        if self._sums is None:
            return None
        loss, entropy, correct = (self._sums / self._images).cpu().tolist()
        return PhaseMeans(loss, entropy, 100.0 * correct, self._images)
