"""GDAS: straight-through Gumbel, one operation per edge."""

from __future__ import annotations

from typing import ClassVar

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.temperature import Temperature, TemperatureSettings
from nni_wiring.strategies.settings import ThetaDefaults
from nni_wiring.supernet.relaxations import StraightThroughGumbel


class GDAS(WiringStrategy):
    """GDAS (Dong & Yang, CVPR 2019): every step runs one sampled cell, the same in all places;
    alpha by the straight-through gradient on the search half.

    Defaults are those of the NAS-Bench-201 paper's runs (AutoDL-Projects; theory page, section 6,
    second row: 250 epochs, tau 10 to .1).
    """

    name: ClassVar[str] = "gdas"
    paper: ClassVar[str] = "Dong & Yang, CVPR 2019, arXiv 1910.04465"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=250)
    Settings = TemperatureSettings
    settings: TemperatureSettings

    def declare(self) -> Parts:
        """Straight-through Gumbel, cooled from epoch to epoch."""
        s = self.settings
        relaxation = StraightThroughGumbel(s.tau_start)
        return Parts(relaxation, schedules=(Temperature(relaxation, s.tau_start, s.tau_end),))
