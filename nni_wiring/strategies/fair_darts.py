"""FairDARTS: operations do not compete; a loss pushes each to zero or one."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.base import Reading, Regulariser
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.settings import Beta, StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import Sigmoid


class FairSettings(StrategySettings):
    """zero_one_weight: of the zero-one loss. threshold: the sigmoid that a selected operation must
    reach to be kept (0: every one is).
    """

    update_order: UpdateOrder = "alpha_first"
    alpha_lr: float = Field(default=3e-3, ge=0)
    alpha_betas: tuple[Beta, Beta] = (0.9, 0.999)
    zero_one_weight: float = Field(default=10.0, ge=0)
    threshold: float = Field(default=0.85, ge=0, lt=1)
    selection: str = "magnitude_without_none"


class ZeroOneLoss(Regulariser):
    """-weight x (Z - 1/2)^2, mean over all alphas of the search."""

    def __init__(self, relaxation: Sigmoid, weight: float) -> None:
        self.relaxation, self.weight = relaxation, weight

    def loss(self) -> torch.Tensor:
        """See the class."""
        distances = [
            ((self.relaxation.weights(group) - 0.5).square() * group.mask).sum()
            for group in self.groups
        ]
        count = sum(len(allowed) for group in self.groups for allowed in group.allowed)
        return -self.weight * torch.stack(distances).sum() / count


class Threshold(Reading):
    """The selection's operation where its sigmoid reaches the threshold, else none."""

    def __init__(self, relaxation: Sigmoid, threshold: float) -> None:
        self.relaxation, self.threshold = relaxation, threshold

    def read(self, group: EdgeGroup, selected: list[int]) -> list[int]:
        """See the class."""
        if "none" not in group.operations:
            return selected
        none = group.operations.index("none")
        kept = self.keeps(group, selected)
        return [
            k if keep or none not in allowed else none
            for k, keep, allowed in zip(selected, kept, group.allowed, strict=True)
        ]

    def keeps(self, group: EdgeGroup, selected: list[int]) -> list[bool]:
        """True where the operation's sigmoid reaches the threshold."""
        rows = self.relaxation.weights(group).detach().cpu().tolist()
        return [row[k] >= self.threshold for k, row in zip(selected, rows, strict=True)]


class FairDARTS(WiringStrategy):
    """FairDARTS (Chu, Zhou, Zhang & Li, ECCV 2020): Z = sigmoid(alpha), and alpha's loss has
    -zero_one_weight x mean (Z - 1/2)^2 added.

    Defaults are the paper's, from its DARTS space (theory page, section 6: 50 epochs, batch 128,
    theta .005 to .001, alpha 3e-3, weight 10, threshold .85), alpha's Adam and the order of a step
    its authors' code's. In a genotype the two edges of the largest sigmoids enter a node, of which
    one below the threshold is written as none; in other cells an edge whose selected operation
    stays below the threshold becomes none, where it may [ours].
    """

    name: ClassVar[str] = "fair_darts"
    paper: ClassVar[str] = "Chu et al., ECCV 2020, arXiv 1911.12126"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(
        batch_size=128, lr=0.005, weight_decay=3e-4, nesterov=False
    )
    Settings = FairSettings
    settings: FairSettings

    def declare(self) -> Parts:
        """Sigmoids, the zero-one loss and the threshold."""
        relaxation = Sigmoid()
        return Parts(
            relaxation,
            regularisers=(ZeroOneLoss(relaxation, self.settings.zero_one_weight),),
            reading=Threshold(relaxation, self.settings.threshold),
        )
