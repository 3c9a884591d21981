"""A relaxation: softmax of a multiple of alpha."""

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import Softmax


class Sharp(Softmax):
    """Z = softmax(sharpness x alpha)."""

    name = "tiny_sharp_softmax"

    def __init__(self, sharpness: float = 2.0) -> None:
        self.sharpness = sharpness

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        return torch.softmax(self.sharpness * group.logits(), dim=-1)

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        return Draw(self.probabilities(group), group.allowed)
