"""A selection: the second best operation of every edge."""

import torch

from nni_wiring.selection.base import Selection
from nni_wiring.supernet.edge_group import EdgeGroup


class Second(Selection):
    """The second largest p(alpha)."""

    name = "tiny_second"
    summary = "the operation of the second largest p(alpha) on every edge"

    def read(self, group: EdgeGroup, probabilities: torch.Tensor) -> list[int]:
        return probabilities.detach().cpu().argsort(dim=-1, descending=True)[:, 1].tolist()
