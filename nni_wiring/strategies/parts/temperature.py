"""A temperature that falls over the epochs."""

from __future__ import annotations

from typing import Protocol

from pydantic import Field

from nni_wiring.strategies.parts.base import Part
from nni_wiring.strategies.parts.schedules import linear
from nni_wiring.strategies.settings import StrategySettings


class TemperatureSettings(StrategySettings):
    """tau_start: temperature of the first epoch. tau_end: that of the last, linear between."""

    tau_start: float = Field(default=10.0, gt=0)
    tau_end: float = Field(default=0.1, gt=0)


class Tempered(Protocol):
    """A thing with a temperature: a relaxation by Gumbel noise."""

    temperature: float


class Temperature(Part):
    """Sets the temperature of every epoch, linear from ``start`` to ``end``."""

    def __init__(self, of: Tempered, start: float, end: float) -> None:
        self.of, self.start, self.end = of, start, end

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """The temperature of this epoch."""
        self.of.temperature = linear(self.start, self.end, epoch, epochs)
