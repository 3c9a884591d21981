"""Relaxations by Gumbel noise: the concrete distribution (SNAS) and its straight-through form
(GDAS).
"""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


def gumbel_noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard Gumbel noise, -log(-log U), in the shape, type and place of ``like``.

    It is drawn on the CPU from ``generator``, so that a search draws alike on every device.
    """
    exponential = torch.empty(like.shape, dtype=like.dtype).exponential_(generator=generator)
    tiny = torch.finfo(like.dtype).tiny
    return exponential.clamp_min_(tiny).log_().neg_().to(like.device, non_blocking=True)


def one_hot(choice: torch.Tensor, operations: int, dtype: torch.dtype) -> torch.Tensor:
    """Indices (edges,) -> one-hot rows (edges, operations)."""
    return torch.nn.functional.one_hot(choice, operations).to(dtype)


def chosen_only(choice: torch.Tensor) -> tuple[tuple[int, ...], ...]:
    """The ``active`` of a draw that runs one operation per edge.

    Waits for the device: which modules run is decided on the host.
    """
    return tuple((k,) for k in choice.tolist())


class Concrete(Relaxation):
    """SNAS: Z = softmax((alpha + G) / temperature), G standard Gumbel noise (Xie et al., ICLR 2019,
    eq. 4; the concrete distribution); every operation runs.

    The pathwise gradient is unbiased for the relaxed objective E[L(Z)]; against the objective over
    one-hot Z it is biased by the relaxation, the less the lower the temperature.
    """

    name: ClassVar[str] = "concrete"

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def perturbed(self, group: EdgeGroup, generator: torch.Generator) -> torch.Tensor:
        """softmax((alpha + G) / temperature), (edges, operations); zero for operations that are not
        allowed.
        """
        logits = group.logits()
        return torch.softmax((logits + gumbel_noise(logits, generator)) / self.temperature, dim=-1)

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """One sample of the concrete distribution."""
        return Draw(self.perturbed(group, generator), group.allowed)


class StraightThroughGumbel(Concrete):
    """GDAS: Z is the one-hot of the largest alpha + G in the forward pass and the concrete sample
    in the backward pass (Dong & Yang, CVPR 2019, eqs. 3-5); only the chosen operation runs.

    Hence dL/dalpha = sum over the chosen operations s of C_s dZ~_s/dalpha, Z~ the concrete sample:
    the cost of an operation that did not run counts as zero. (AutoDL's code adds the number Z_k of
    every other operation to the feature map, so that its gradient is the sum of that map's
    gradient, which is no operation's cost.) A biased estimator: of the concrete one the terms of
    the operations that did not run are missing, and C is taken at the one-hot Z.
    """

    name: ClassVar[str] = "straight_through_gumbel"

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """One sample: z is exactly one-hot, its gradient that of the concrete sample."""
        soft = self.perturbed(group, generator)
        choice = soft.detach().argmax(dim=-1)
        hard = one_hot(choice, soft.shape[-1], soft.dtype)
        return Draw(hard + (soft - soft.detach()), chosen_only(choice))
