"""Relaxations: how alpha becomes Z (theory page, section 1)."""

from __future__ import annotations

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup


class Relaxation:
    """alpha -> Z. One draw a step serves all cells that share the group's label."""

    name = "abstract"

    def draw(self, group: EdgeGroup, generator: torch.Generator) -> Draw:
        """Z of one step, shape (edges, operations), differentiable in alpha where the method is
        pathwise.

        generator: the strategy's own random source (CPU), for stochastic relaxations.
        """
        raise NotImplementedError

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """p(alpha), shape (edges, operations), rows sum to 1: what exact expectations and
        selections are taken under.
        """
        return torch.softmax(group.logits(), dim=-1)


class Softmax(Relaxation):
    """DARTS: Z = softmax(alpha) (Liu et al., ICLR 2019, eq. 2); every operation runs."""

    name = "softmax"

    def draw(self, group: EdgeGroup, generator: torch.Generator) -> Draw:
        """Deterministic; see the class."""
        return Draw(self.probabilities(group), group.allowed)
