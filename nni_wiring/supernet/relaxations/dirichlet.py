"""Dirichlet: the relaxation of DrNAS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch.autograd.function import once_differentiable
from torch.distributions import Dirichlet, kl_divergence

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


class _Sample(torch.autograd.Function):
    """``Dirichlet(concentration).rsample()`` from a generator of one's own: torch.distributions
    takes none, and other searches in the process may use the global one.
    """

    @staticmethod
    def forward(ctx: Any, concentration: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        x = torch._sample_dirichlet(concentration, generator)
        ctx.save_for_backward(x, concentration)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, concentration = ctx.saved_tensors
        total = concentration.sum(-1, keepdim=True).expand_as(concentration)
        implicit = torch._dirichlet_grad(x, concentration, total)
        return implicit * (gradient - (x * gradient).sum(-1, keepdim=True)), None


def _sample(concentration: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    sample: torch.Tensor = _Sample.apply(concentration, generator)
    return sample


class DirichletRelaxation(Relaxation):
    """Z ~ Dirichlet(elu(alpha) + 1) on every edge (Chen et al., ICLR 2021, section 3.1); gradients
    by implicit reparametrisation, unbiased for E[L(Z)]; every kept operation runs.

    kept: {group name: the operations that are left on every edge}; a group that it does not name
    has all that the space allows.
    """

    name: ClassVar[str] = "dirichlet"

    def __init__(self) -> None:
        self.kept: dict[str, tuple[tuple[int, ...], ...]] = {}

    def operations(self, group: EdgeGroup) -> tuple[tuple[int, ...], ...]:
        """The columns of alpha that are left on every edge."""
        return self.kept.get(group.name, group.allowed)

    def concentration(self, group: EdgeGroup) -> torch.Tensor:
        """elu(alpha) + 1, (edges, operations); positive."""
        return torch.nn.functional.elu(group.alpha) + 1

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """One sample; drawn on the CPU, so that a search draws alike on every device."""
        concentration = self.concentration(group).cpu()
        z = torch.zeros_like(concentration)
        seed = torch.randint(2**62, (), generator=generator)
        own = torch.Generator().manual_seed(int(seed))
        for rows, columns in self._alike(group):
            sample = _sample(concentration[rows, columns], own)
            z = z.index_put((rows, columns), sample)
        return Draw(z.to(group.alpha.device), self.operations(group))

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """The mean of the distribution: concentration over its sum, kept operations only."""
        left = torch.zeros_like(group.mask)
        for rows, columns in self._alike(group):
            left[rows.to(left.device), columns.to(left.device)] = True
        concentration = self.concentration(group).masked_fill(~left, 0.0)
        return concentration / concentration.sum(dim=-1, keepdim=True)

    def divergence(self, group: EdgeGroup) -> torch.Tensor:
        """sum over edges of KL(Dirichlet(concentration) || Dirichlet(1)), a scalar."""
        concentration = self.concentration(group)
        total = concentration.new_zeros(())
        for rows, columns in self._alike(group):
            own = concentration[rows.to(concentration.device), columns.to(concentration.device)]
            divergence = kl_divergence(Dirichlet(own), Dirichlet(torch.ones_like(own)))
            total = total + divergence.sum()
        return total

    def _alike(self, group: EdgeGroup) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Rows (r, 1) and columns (r, k) of the edges that have k operations, for every k >= 1."""
        by_size: dict[int, list[int]] = defaultdict(list)
        operations = self.operations(group)
        for edge, left in enumerate(operations):
            by_size[len(left)].append(edge)
        for edges in by_size.values():
            yield torch.tensor(edges)[:, None], torch.tensor([operations[e] for e in edges])
