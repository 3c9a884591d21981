"""Perturbed softmax: the relaxation of SmoothDARTS."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.softmax import Softmax


def project(
    z: torch.Tensor, centre: torch.Tensor, epsilon: float, mask: torch.Tensor
) -> torch.Tensor:
    """The point nearest to z whose rows sum to 1, within ``epsilon`` (maximum norm) of ``centre``,
    in 0 .. 1, and 0 outside ``mask``; all tensors (edges, operations).

    centre: rows that sum to 1, so that there is such a point. It is clip(z + t, low, high) with a
    shift t a row; t is found by bisection, 50 halvings, without waiting for the device.
    """
    low = (centre - epsilon).clamp(0, 1) * mask
    high = (centre + epsilon).clamp(0, 1) * mask
    below, above = (low - z).amin(dim=-1, keepdim=True), (high - z).amax(dim=-1, keepdim=True)
    for _ in range(50):
        shift = (below + above) / 2
        too_little = (z + shift).clamp(low, high).sum(dim=-1, keepdim=True) < 1
        below, above = torch.where(too_little, shift, below), torch.where(too_little, above, shift)
    return (z + (below + above) / 2).clamp(low, high)


class PerturbedSoftmax(Softmax):
    """softmax(alpha) in alpha's steps; in the weights' steps a point of the ball of radius
    ``epsilon`` (maximum norm) around it, on the simplex (Chen & Hsieh, ICML 2020, section 3).

    The point is ``attack[group name]`` where there is one, else drawn uniformly and projected. The
    authors' code clamps to 0 .. 1 and divides by the sum, which may leave the ball; we project.
    """

    name: ClassVar[str] = "perturbed_softmax"
    deterministic = False

    def __init__(self, epsilon: float = 0.0) -> None:
        self.epsilon = epsilon
        self.attack: dict[str, torch.Tensor] = {}

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """See the class."""
        if phase != "weights":
            return super().draw(group, phase, generator)
        if group.name in self.attack:
            return Draw(self.attack[group.name], group.allowed)
        return Draw(self.random_point(group, generator), group.allowed)

    def random_point(self, group: EdgeGroup, generator: torch.Generator) -> torch.Tensor:
        """softmax(alpha) + U(-epsilon, epsilon), projected; (edges, operations), no gradient."""
        centre = self.probabilities(group).detach()
        noise = torch.rand(centre.shape, generator=generator) * 2 - 1
        moved = centre + self.epsilon * noise.to(centre.device, non_blocking=True)
        return self.projected(moved, group)

    def projected(self, z: torch.Tensor, group: EdgeGroup) -> torch.Tensor:
        """``project`` into this group's ball."""
        return project(z, self.probabilities(group).detach(), self.epsilon, group.mask)
