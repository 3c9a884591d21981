"""A strategy that is DARTS with the package's own relaxation."""

import os

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.base import Part
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.settings import StrategySettings
from nni_wiring.supernet.relaxations import relaxation_class


class SharpSettings(StrategySettings):
    """sharpness: what alpha is multiplied by."""

    sharpness: float = Field(default=2.0, gt=0)


class StopsLikeCtrlC(Part):
    """Interrupts the search at the start of an epoch, where the environment says so."""

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        if os.environ.get("TINY_PLUGIN_STOPS_AT") == str(epoch):
            raise KeyboardInterrupt


class SharpDARTS(WiringStrategy):
    """DARTS with sharper Z."""

    name = "tiny_sharp"
    paper = "a test"
    Settings = SharpSettings
    settings: SharpSettings

    def declare(self) -> Parts:
        sharp = relaxation_class("tiny_sharp_softmax")(self.settings.sharpness)
        return Parts(sharp, schedules=(StopsLikeCtrlC(),))


class Greedy(WiringStrategy):
    """Refused: a setting of its own has the name of a run's option."""

    name = "tiny_greedy"

    class Settings(StrategySettings):
        epochs: int = 7


class Impostor(WiringStrategy):
    """Refused: the name is taken."""

    name = "darts"
