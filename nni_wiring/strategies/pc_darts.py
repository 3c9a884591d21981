"""PC-DARTS: partial channel connections and edge normalisation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import nn

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.partial_cell import ChannelShare, PartialCell


class PCDartsSettings(StrategySettings):
    """partial_channels: K, operations see 1/K of the channels. edge_normalisation: whether beta
    weights the edges into a node. warmup_share: the share of the epochs before alpha and beta move
    (the paper's 15 of 50), at least ``warmup_epochs``.
    """

    update_order: UpdateOrder = "alpha_first"
    partial_channels: int = Field(default=4, ge=1)
    edge_normalisation: bool = True
    warmup_share: float = Field(default=0.3, ge=0, lt=1)


class PCDarts(WiringStrategy):
    """PC-DARTS (Xu et al., ICLR 2020): DARTS whose operations see 1/K of the channels; the output
    of edge e is softmax(beta)_e, over the edges into its node, times the mixture.

    K = 4, edge normalisation and warm-up are the paper's; the training is that of the DrNAS
    repository's runs on NAS-Bench-201 (theory page, section 6), which tracks batch norm statistics.
    p(alpha) is softmax(alpha): a NAS-Bench-201 cell keeps every edge, so beta selects nothing.
    """

    name: ClassVar[str] = "pc_darts"
    paper: ClassVar[str] = "Xu et al., ICLR 2020, arXiv 1907.05737"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=100, weight_decay=3e-4, nesterov=False)
    Settings = PCDartsSettings
    settings: PCDartsSettings
    _warmup = 0

    def cell_factory(self) -> Callable[..., SupernetCell]:
        """Cells on 1/K of the channels."""
        return partial(PartialCell, share=ChannelShare(self.settings.partial_channels))

    def prepare(self) -> None:
        """Give every group its beta, (edges,), initialised like alpha, and what its softmax leaves
        out: ``other_target``, (edges, edges), whether two edges enter different nodes.
        """
        for group in self.groups:
            if self.settings.edge_normalisation and group.graph is not None:
                beta = torch.randn(len(group.edges)) * self.settings.alpha_init
                group.register_parameter("beta", nn.Parameter(beta))
                targets = torch.tensor([target for _, target in group.graph.edges])
                other = targets[:, None] != targets
                group.register_buffer("other_target", other, persistent=False)

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """softmax(alpha), and the weights of the edges."""
        drawn = super().draw(group, phase, generator)
        return drawn._replace(edge_weights=edge_weights(group))

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Fix when the warm-up ends."""
        self._warmup = max(self.settings.warmup_epochs, round(self.settings.warmup_share * epochs))

    def alpha_moves_in(self, epoch: int) -> bool:
        """After the warm-up."""
        return epoch >= self._warmup


def edge_weights(group: EdgeGroup) -> torch.Tensor | None:
    """softmax of beta over the edges into each node, (edges,); None for a group without beta."""
    if not hasattr(group, "beta"):
        return None
    beta, other = cast(torch.Tensor, group.beta), cast(torch.Tensor, group.other_target)
    return torch.softmax(beta.expand_as(other).masked_fill(other, -torch.inf), 1).diagonal()
