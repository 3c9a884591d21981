"""Dirichlet: the relaxation of DrNAS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch.distributions import Dirichlet, kl_divergence

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


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
        with torch.random.fork_rng(devices=[]):
            # torch.distributions takes no generator: let the search's own seed the global one
            seed = torch.randint(2**62, (), generator=generator)
            torch.random.default_generator.manual_seed(int(seed))
            for rows, columns in self._alike(group):
                sample = Dirichlet(concentration[rows, columns]).rsample()
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
