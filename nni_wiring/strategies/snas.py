"""SNAS: the concrete relaxation, alpha and theta from one pass."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.temperature import Temperature, TemperatureSettings
from nni_wiring.strategies.settings import Optimisation, ThetaDefaults
from nni_wiring.supernet.relaxations import Concrete


class SnasSettings(TemperatureSettings):
    """As the paper: single level. Unless set otherwise, alpha as in S1's runs (theory page, section
    1), the temperature from 10 to 1 as in DrNAS' runs of SNAS (section 6).
    """

    optimisation: Optimisation = "single_level"
    alpha_clip: float | None = Field(default=10.0, gt=0)
    alpha_init: float = Field(default=0.01, ge=0)
    alpha_init_mean: float = 1.0
    tau_end: float = Field(default=1.0, gt=0)


class SNAS(WiringStrategy):
    """SNAS (Xie, Zheng, Liu & Lin, ICLR 2019): Z is a concrete sample, alpha descends along its
    path; no search half is needed.

    Defaults: S1's settings of its single-level runs (theory page, section 1: 150 epochs, batch 96,
    alpha by Adam 3e-4, weight decay 1e-3, clip 10, N(1, .01)). S1 trains on all images:
    ``split=full+xvalid``.
    """

    name: ClassVar[str] = "snas"
    paper: ClassVar[str] = "Xie et al., ICLR 2019, arXiv 1812.09926"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(
        epochs=150, batch_size=96, weight_decay=3e-4, nesterov=False
    )
    Settings = SnasSettings
    settings: SnasSettings

    def declare(self) -> Parts:
        """A concrete sample, cooled from epoch to epoch."""
        s = self.settings
        relaxation = Concrete(s.tau_start)
        return Parts(relaxation, schedules=(Temperature(relaxation, s.tau_start, s.tau_end),))
