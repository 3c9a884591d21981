"""Sigmoid: the relaxation of FairDARTS."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


class Sigmoid(Relaxation):
    """FairDARTS: Z = sigmoid(alpha), every operation by itself (Chu et al., ECCV 2020, eq. 3);
    every operation runs.
    """

    name: ClassVar[str] = "sigmoid"
    deterministic = True

    def weights(self, group: EdgeGroup) -> torch.Tensor:
        """sigmoid(alpha), (edges, operations); zero for operations that are not allowed."""
        return torch.sigmoid(group.logits())

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Deterministic; see the class."""
        return Draw(self.weights(group), group.allowed)

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """sigmoid(alpha) divided by its sum over the edge: the paper has no distribution, but exact
        expectations over cells need one.
        """
        weights = self.weights(group)
        return weights / weights.sum(dim=-1, keepdim=True)

    def evaluation_weights(self, group: EdgeGroup) -> torch.Tensor:
        """The sigmoids themselves, as the supernet is trained with."""
        return self.weights(group)
