"""Gradient norms of theta and alpha."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from nni_wiring.monitor.epoch import Epoch
from nni_wiring.monitor.notes import Step
from nni_wiring.monitor.statistics.base import Statistic


class GradientNorms(Statistic):
    """``gradient_norm``: the mean over steps, before clipping, of "weights" and "alpha"."""

    name: ClassVar[str] = "gradient_norms"
    fields: ClassVar[tuple[str, ...]] = ("gradient_norm",)

    def __init__(self) -> None:
        self._totals: dict[str, torch.Tensor] = {}

    def reset(self) -> None:
        """See the base class."""
        self._totals = {}

    def observe(self, step: Step) -> None:
        """See the base class."""
        for kind, norm in step.gradient_norms.items():
            norm = norm.detach()
            self._totals[kind] = self._totals[kind] + norm if kind in self._totals else norm

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """See the base class."""
        steps = max(epoch.steps, 1)
        return {"gradient_norm": {kind: float(sum_) / steps for kind, sum_ in self._totals.items()}}
