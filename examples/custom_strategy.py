"""A strategy made of parts that are there. Run it:  python examples/custom_strategy.py"""

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.partial_channels import PartialChannels
from nni_wiring.strategies.parts.stop_rules import StableRanking
from nni_wiring.strategies.parts.temperature import Temperature, TemperatureSettings
from nni_wiring.strategies.registry import register
from nni_wiring.supernet.relaxations import StraightThroughGumbel


class PartialGDASSettings(TemperatureSettings):
    """patience: an option of `search --set` and of NNI's YAML files from now on."""

    patience: int = 10


@register
class PartialGDAS(WiringStrategy):
    """GDAS on half of the channels with edge weights, stopped when its ranking stands."""

    name = "partial_gdas"
    paper = "an example"
    Settings = PartialGDASSettings

    def declare(self) -> Parts:
        """One sampled operation an edge, cooled; PC-DARTS' cells; half of DARTS+' stop rule."""
        s = self.settings
        gumbel = StraightThroughGumbel(s.tau_start)
        return Parts(
            relaxation=gumbel,
            cells=PartialChannels(2, edge_scale=s.alpha_init),
            schedules=(Temperature(gumbel, s.tau_start, s.tau_end),),
            stops=(StableRanking(s.patience),),
        )


if __name__ == "__main__":
    from nni_wiring.commands import main

    small = [f"--set={option}" for option in ("channels=4", "cells=1", "max_steps=10")]
    main(["search", "--strategy=partial_gdas", "--epochs=2", *small])
