"""DSNAS: one-hot Z, alpha by the score with the local cost as reward."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.score import Score
from nni_wiring.strategies.settings import Optimisation, StrategySettings, ThetaDefaults
from nni_wiring.supernet.relaxations import OneHotScore


class DsnasSettings(StrategySettings):
    """reward_clamp: limit on the size of the local cost that an edge is rewarded with (None: none).

    As the paper: single level; alpha as in S1's runs (theory page, section 1).
    """

    optimisation: Optimisation = "single_level"
    alpha_clip: float | None = Field(default=10.0, gt=0)
    alpha_init: float = Field(default=0.01, ge=0)
    alpha_init_mean: float = 1.0
    reward_clamp: float | None = Field(default=5.0, gt=0)


class DSNAS(WiringStrategy):
    """DSNAS (Hu et al., CVPR 2020): one sampled cell a step, whose one backward pass gives theta's
    gradient and every edge's local cost, alpha's reward.

    Defaults: S1's settings (theory page, section 1: 150 epochs, batch 96, alpha by Adam 3e-4,
    weight decay 1e-3, clip 10, N(1, .01), reward within +-5). S1 trains on all images:
    ``split=full+xvalid``. The clamp acts on the sum over the cells that share alpha.
    """

    name: ClassVar[str] = "dsnas"
    paper: ClassVar[str] = "Hu et al., CVPR 2020, arXiv 2002.09128"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(
        epochs=150, batch_size=96, weight_decay=3e-4, nesterov=False
    )
    Settings = DsnasSettings
    settings: DsnasSettings

    def declare(self) -> Parts:
        """One-hot Z with the score's gradient."""
        relaxation = OneHotScore(self.settings.reward_clamp)
        return Parts(relaxation, alpha=Score(relaxation))
