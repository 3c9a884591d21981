"""Weights of whole edges (edge normalisation: PC-DARTS, Xu et al., ICLR 2020, section 3.2)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from nni_wiring.supernet.edge_group import EdgeGroup


def add_edge_weights(group: EdgeGroup, scale: float) -> None:
    """Give a group its beta, (edges,), drawn from N(0, scale^2): an architecture parameter; and
    what its softmax leaves out: ``other_target``, (edges, edges), whether two edges enter different
    nodes. A lone choice, which has no node to share, gets none.
    """
    if group.graph is None:
        return
    group.register_parameter("beta", nn.Parameter(torch.randn(len(group.edges)) * scale))
    targets = torch.tensor([target for _, target in group.graph.edges])
    other = targets[:, None] != targets
    group.register_buffer("other_target", other, persistent=False)


def edge_weights(group: EdgeGroup) -> torch.Tensor | None:
    """softmax of beta over the edges into each node, (edges,); None for a group without beta."""
    if not hasattr(group, "beta"):
        return None
    beta, other = cast(torch.Tensor, group.beta), cast(torch.Tensor, group.other_target)
    return torch.softmax(beta.expand_as(other).masked_fill(other, -torch.inf), 1).diagonal()
