"""The second-order gradient of DARTS (Liu et al., ICLR 2019, eqs. 6-8)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import AlphaUpdate
from nni_wiring.supernet.restoring import unmoved

Tensors = Sequence[torch.Tensor]


def _virtual_step(optimizer: Any, gradients: dict[int, torch.Tensor]) -> None:
    """theta <- theta - lr (momentum v + g + weight_decay theta), v the optimiser's momentum buffer
    (DARTS' own code).
    """
    with torch.no_grad():
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if id(weight) not in gradients:
                    continue
                step = gradients[id(weight)] + group.get("weight_decay", 0.0) * weight
                velocity = optimizer.state[weight].get("momentum_buffer")
                if velocity is not None:
                    step = step + group.get("momentum", 0.0) * velocity
                weight.sub_(group["lr"] * step)


def _shift(
    weights: Sequence[nn.Parameter], direction: Tensors, scale: torch.Tensor | float
) -> None:
    with torch.no_grad():
        for weight, delta in zip(weights, direction, strict=True):
            weight.add_(delta * scale)


def _gradients(loss: torch.Tensor, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if not loss.requires_grad:  # nothing that moves enters it
        return [torch.zeros_like(i) for i in inputs]
    found = torch.autograd.grad(loss, list(inputs), allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]


def unrolled_gradient(loop: Loop, batch: dict[str, Any], batch_idx: int) -> None:
    """Leave d/dalpha L_val(theta'(alpha), alpha) in alpha.grad, theta' one SGD step from theta on
    the training batch.

    The mixed second derivative is taken along lr dL_val/dtheta' (lr: theta's present learning rate,
    parameter group by group) by a central difference whose shift of theta has length 0.01. Theta
    and batch norm statistics are left as they were.
    """
    optimizer = loop.theta_optimizer()
    alphas = loop.arch_parameters()
    moving = [(w, g["lr"]) for g in optimizer.param_groups for w in g["params"] if w.requires_grad]
    weights = [weight for weight, _ in moving]

    def train_loss() -> torch.Tensor:
        return loop.loss("alpha", batch["train"], batch_idx, record=False)

    with unmoved([*weights, *loop.buffers()]):  # the unrolled step is only virtual
        with unmoved(weights):
            gradients = _gradients(train_loss(), weights)
            _virtual_step(optimizer, {id(w): g for w, g in zip(weights, gradients, strict=True)})
            found = _gradients(loop.loss("alpha", batch["val"], batch_idx), [*alphas, *weights])
        direct = found[: len(alphas)]
        direction = [lr * g for g, (_, lr) in zip(found[len(alphas) :], moving, strict=True)]
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(d) for d in direction])
        )
        epsilon = 0.01 / norm.clamp_min(1e-12)  # no gradient at all: the product is zero
        with loop.constant_weights():  # no pass keeps or computes anything for their gradients
            _shift(weights, direction, epsilon)
            above = _gradients(train_loss(), alphas)
            _shift(weights, direction, -2 * epsilon)
            below = _gradients(train_loss(), alphas)
    for alpha, first, up, down in zip(alphas, direct, above, below, strict=True):
        alpha.grad = first - (up - down) / (2 * epsilon)


class Unrolled(AlphaUpdate):
    """Second order: dL/dalpha at theta after one more step (eq. 7)."""

    needs_two_levels: ClassVar[bool] = True
    one_process: ClassVar[bool] = True

    def gradient(self, loop: Loop, batch: dict[str, Any], batch_idx: int) -> None:
        """See ``unrolled_gradient``."""
        unrolled_gradient(loop, batch, batch_idx)

    def program(self) -> Hashable | None:
        """None: the weights move by the present learning rate, a number of the host."""
        return None
