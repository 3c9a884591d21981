"""PC-DARTS: partial channel connections and edge normalisation."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.partial_channels import PartialChannels
from nni_wiring.strategies.parts.warm_up import WarmUp
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder


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
    A NAS-Bench-201 cell keeps every edge, so there beta selects nothing; the genotype of DARTS'
    cells keeps the two edges of the largest softmax(alpha) x softmax(beta) into a node.
    """

    name: ClassVar[str] = "pc_darts"
    paper: ClassVar[str] = "Xu et al., ICLR 2020, arXiv 1907.05737"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=100, weight_decay=3e-4, nesterov=False)
    Settings = PCDartsSettings
    settings: PCDartsSettings

    def declare(self) -> Parts:
        """Partial channels, edge weights, and the warm-up of both."""
        s = self.settings
        scale = s.alpha_init if s.edge_normalisation else None
        return Parts(
            cells=PartialChannels(s.partial_channels, scale),
            schedules=(WarmUp(share=s.warmup_share),),
        )
