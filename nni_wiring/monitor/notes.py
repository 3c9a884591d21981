"""Notes that the hooks take during a step, on the device, without waiting for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from nni_wiring.monitor.taps import Site


class Noted(NamedTuple):
    """A tensor of a site, and which of its entries were run (same shape, bool, on the host)."""

    values: torch.Tensor
    ran: np.ndarray


class Outputs(NamedTuple):
    """One recorded forward pass: logits (n, classes), labels (n,) int64."""

    phase: str
    logits: torch.Tensor
    labels: torch.Tensor


@dataclass
class Step:
    """One search step: what statistics observe. All tensors are on the device.

    Phases: "weights" (theta's step on the training half), "alpha" (alpha's step on the search
    half), "joint" (the single pass of single-level search, on the training data).

    Attributes:
        passes: Z of every site that ran forward, by phase.
        costs: dL/dZ of every site that a gradient came back to, by phase.
        outputs: the network's, of every recorded forward pass.
        gradient_norms: of theta ("weights") and alpha ("alpha"), before clipping.
    """

    passes: dict[str, dict[Site, Noted]] = field(default_factory=dict)
    costs: dict[str, dict[Site, Noted]] = field(default_factory=dict)
    outputs: list[Outputs] = field(default_factory=list)
    gradient_norms: dict[str, torch.Tensor] = field(default_factory=dict)


class StepNotes:
    """Collects a step: the observer of taps, and the one listener of the search module.

    A step that is replayed as a CUDA graph runs no Python, so its notes are those of the captured
    step: the same tensors with new values. Statistics see a step when it is over, and so a replayed
    one like any other; nothing else of monitoring knows of graphs.
    """

    def __init__(self) -> None:
        self.phase: str | None = None
        self._step = Step()

    def note_pass(self, phase: str, site: Site, z: torch.Tensor, ran: np.ndarray) -> None:
        """Keep that a site was run forward."""
        self._step.passes.setdefault(phase, {})[site] = Noted(z, ran)

    def note_cost(self, phase: str, site: Site, gradient: torch.Tensor, ran: np.ndarray) -> None:
        """Keep a site's dL/dZ."""
        self._step.costs.setdefault(phase, {})[site] = Noted(gradient, ran)

    def note_outputs(self, phase: str, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Keep the logits of one recorded forward pass."""
        self._step.outputs.append(Outputs(phase, logits.detach(), labels))

    def take_notes(self) -> Step:
        """The step so far; forgets it."""
        step, self._step = self._step, Step()
        return step

    def put_notes(self, notes: Any) -> None:
        """Add what ``take_notes`` gave."""
        for own, theirs in ((self._step.passes, notes.passes), (self._step.costs, notes.costs)):
            for phase, found in theirs.items():
                own.setdefault(phase, {}).update(found)
        self._step.outputs.extend(notes.outputs)


def labelled_batch(data: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(images, labels) if ``data`` is a batch of a classification task, else None."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return None
    images, labels = data
    if not (isinstance(images, torch.Tensor) and isinstance(labels, torch.Tensor)):
        return None
    return (images, labels) if labels.dim() == 1 and not labels.is_floating_point() else None
