"""The interface of a relaxation: alpha becomes Z, and, where autograd does not, how dL/dZ becomes
dL/dalpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup


class Relaxation:
    """alpha -> Z. One draw a step serves all cells that share the group's label.

    pathwise: autograd carries the gradient from Z to alpha. Otherwise Z is drawn as a leaf tensor,
    which the backward pass leaves dL/dZ in (summed over the cells that share it), and
    ``alpha_gradient`` turns that into alpha's gradient.

    deterministic: nothing is drawn: Z is a function of alpha, and the same operations run.
    """

    name: ClassVar[str] = "abstract"
    pathwise: bool = True
    deterministic: bool = False

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Z of one step, shape (edges, operations), differentiable in alpha where the method is
        pathwise.

        Args:
            phase: "weights", "alpha" or "joint", for methods that run other operations in the alpha
                step.
            generator: the search's own random source (CPU), for stochastic relaxations.
        """
        raise NotImplementedError

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """p(alpha), shape (edges, operations), rows sum to 1: what exact expectations and
        selections are taken under.
        """
        return torch.softmax(group.logits(), dim=-1)

    def evaluation_weights(self, group: EdgeGroup) -> torch.Tensor:
        """Z, (edges, operations), under which the trained supernet as a whole is evaluated:
        p(alpha), the mean of Z, unless the method trains with another.
        """
        return self.probabilities(group)

    def sample_cells(
        self, groups: Sequence[EdgeGroup], generator: torch.Generator
    ) -> dict[str, list[int]]:
        """One cell a group, drawn from p(alpha): an operation (column of alpha) for every edge."""
        return {
            group.name: torch.multinomial(
                self.probabilities(group).detach().cpu(), 1, generator=generator
            )
            .flatten()
            .tolist()
            for group in groups
        }

    def alpha_gradient(self, group: EdgeGroup, draw: Draw, cost: torch.Tensor) -> torch.Tensor:
        """The gradient estimate of alpha, shape (edges, operations), of a method that is not
        pathwise.

        Args:
            cost: dL/dZ of ``draw``, same shape; zero for operations that did not run.
        """
        raise NotImplementedError(f"{self.name}: autograd carries the gradient to alpha")
