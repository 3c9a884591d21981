"""Softmax with some edges decided: the relaxation of SGAS."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.decisions import decided_weights, with_decisions
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.softmax import Softmax


class DecidedSoftmax(Softmax):
    """softmax(alpha) on open edges, one-hot on decided ones, of which only that operation runs.

    decided: {group name: {edge: operation (column of alpha)}}.
    """

    name: ClassVar[str] = "decided_softmax"

    def __init__(self) -> None:
        self.decided: dict[str, dict[int, int]] = {}

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """See the class."""
        open_edges = Draw(torch.softmax(group.logits(), dim=-1), group.allowed)
        return with_decisions(open_edges, self.decided.get(group.name, {}))

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """p(alpha), rows sum to 1; decided rows are constants."""
        p = torch.softmax(group.logits(), dim=-1)
        return decided_weights(p, self.decided.get(group.name, {}))
