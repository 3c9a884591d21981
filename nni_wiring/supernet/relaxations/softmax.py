"""Softmax: the relaxation of DARTS."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


class Softmax(Relaxation):
    """DARTS: Z = softmax(alpha) (Liu et al., ICLR 2019, eq. 2); every operation runs."""

    name: ClassVar[str] = "softmax"
    deterministic = True

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Deterministic; see the class."""
        return Draw(self.probabilities(group), group.allowed)
