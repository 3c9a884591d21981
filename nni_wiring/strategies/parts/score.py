"""Alpha by the local cost of the operations that ran."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.strategies.parts.gradient import Gradient
from nni_wiring.supernet.relaxations import Relaxation


class Score(Gradient):
    """For relaxations that draw Z as a leaf: the backward pass leaves dL/dZ there, which the
    relaxation's own rule turns into alpha's gradient (DSNAS, ProxylessNAS).
    """

    reads_leaves: ClassVar[bool] = True
    one_process: ClassVar[bool] = True

    def __init__(self, relaxation: Relaxation) -> None:
        self.relaxation = relaxation

    def inputs(self) -> list[torch.Tensor]:
        """Alpha, for regularisers, and the leaf Z of this step's draws."""
        leaves = [group.draw.z for group in self.groups if group.draw is not None]
        return [*super().inputs(), *leaves]

    def estimate(self) -> None:
        """Add the relaxation's gradient to what a regulariser has left in alpha.grad."""
        for group in self.groups:
            draw = group.draw
            if draw is None:
                continue
            cost = torch.zeros_like(draw.z) if draw.z.grad is None else draw.z.grad
            gradient = self.relaxation.alpha_gradient(group, draw, cost).detach()
            group.alpha.grad = gradient if group.alpha.grad is None else group.alpha.grad + gradient
