"""Loss, output entropy and accuracy of the recorded forward passes, kept on the device until the
epoch ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


class PhaseStatistics(NamedTuple):
    """Means over the images of one phase of one epoch.

    loss: cross-entropy L, nats. entropy: H(softmax of the logits), nats. accuracy: percent. images:
    how many.
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
    """Streaming sums for :class:`PhaseStatistics`."""

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

    def read(self) -> PhaseStatistics | None:
        """The means so far (one device read), or None if nothing was counted."""
        if self._sums is None:
            return None
        loss, entropy, correct = (self._sums / self._images).cpu().tolist()
        return PhaseStatistics(loss, entropy, 100.0 * correct, self._images)


def labelled_batch(data: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(images, labels) if ``data`` is a batch of a classification task, else None."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return None
    images, labels = data
    if not (isinstance(images, torch.Tensor) and isinstance(labels, torch.Tensor)):
        return None
    return (images, labels) if labels.dim() == 1 and not labels.is_floating_point() else None
