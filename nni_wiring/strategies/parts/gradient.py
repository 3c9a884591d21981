"""Alpha by the gradient of the search half's loss, theta taken as constant."""

from __future__ import annotations

from typing import Any

import torch

from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import AlphaUpdate


class Gradient(AlphaUpdate):
    """Along autograd's path from Z to alpha (DARTS, first order)."""

    def inputs(self) -> list[torch.Tensor]:
        """The tensors that a bi-level step differentiates by."""
        return [parameter for group in self.groups for parameter in group.parameters()]

    def gradient(self, loop: Loop, batch: dict[str, Any], batch_idx: int) -> None:
        """dL/dalpha on the search half, at the present theta."""
        with loop.constant_weights():
            loss = loop.loss("alpha", batch["val"], batch_idx)
            # beside the groups' own: what users' mutation hooks mix by
            inputs = dict.fromkeys([*self.inputs(), *loop.arch_parameters()])
            loop.manual_backward(loss, inputs=list(inputs))
        self.estimate()
