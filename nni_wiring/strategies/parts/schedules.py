"""Schedules over the epochs of a search."""

from __future__ import annotations

from pydantic import Field

from nni_wiring.strategies.settings import StrategySettings


def linear(start: float, end: float, epoch: int, epochs: int) -> float:
    """``start`` in epoch 0, ``end`` in the last of ``epochs``, in equal steps between; ``start`` if
    there is one epoch only.
    """
    return start + (end - start) * epoch / max(epochs - 1, 1)


class TemperatureSettings(StrategySettings):
    """tau_start, tau_end: the temperature of the first and of the last epoch, linear between."""

    tau_start: float = Field(default=10.0, gt=0)
    tau_end: float = Field(default=0.1, gt=0)
