"""Uniform: one operation per edge, each as likely, whatever alpha is."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation
from nni_wiring.supernet.relaxations.gumbel import chosen_only, one_hot


class Uniform(Relaxation):
    """Random sampling: Z one-hot, every allowed operation of an edge as likely (Li & Talwalkar, UAI
    2019; Guo et al., ECCV 2020). Only the drawn operation runs.
    """

    name: ClassVar[str] = "uniform"

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """One path."""
        choice = torch.multinomial(
            self.probabilities(group).cpu(), 1, generator=generator
        ).flatten()
        z = one_hot(choice, len(group.operations), group.alpha.dtype)
        return Draw(z.to(group.alpha.device), chosen_only(choice))

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """1 / n for each of an edge's n operations."""
        allowed = group.mask.to(group.alpha.dtype)
        return allowed / allowed.sum(dim=-1, keepdim=True)
