"""Temperatures and stages: end points and steps."""

from __future__ import annotations

import pytest

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.gdas import GDAS
from nni_wiring.strategies.parts.schedules import linear, stage_of
from nni_wiring.strategies.snas import SNAS


def test_linear_is_an_arithmetic_series_between_its_ends() -> None:
    assert [linear(10.0, 2.0, epoch, 5) for epoch in range(5)] == [10.0, 8.0, 6.0, 4.0, 2.0]
    assert linear(10.0, 0.1, 0, 1) == 10.0


@pytest.mark.parametrize(
    ("strategy", "epochs", "ends"), [(GDAS(), 250, (10.0, 0.1)), (SNAS(), 150, (10.0, 1.0))]
)
def test_temperature_over_the_epochs_of_the_paper(
    strategy: WiringStrategy, epochs: int, ends: tuple[float, float]
) -> None:
    assert strategy.theta.epochs == epochs
    seen = []
    for epoch in range(epochs):
        strategy.on_epoch_start(epoch, epochs)
        seen.append(strategy.relaxation.temperature)
    assert (seen[0], seen[-1]) == pytest.approx(ends)
    assert all(a > b for a, b in zip(seen, seen[1:], strict=False))


def test_a_temperature_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="tau_end.*greater than 0"):
        GDAS(tau_end=0)


@pytest.mark.parametrize(("epochs", "stages"), [(10, 2), (7, 3), (5, 5), (2, 3), (1, 1)])
def test_stages_cover_the_epochs_evenly(epochs: int, stages: int) -> None:
    """Every epoch lies in its stage, stages differ by one epoch at most."""
    found = [stage_of(epoch, epochs, stages) for epoch in range(epochs)]
    counts = [sum(stage.number == n for stage in found) for n in {s.number for s in found}]
    assert max(counts) - min(counts) <= 1 and sum(counts) == epochs
    for epoch, stage in enumerate(found):
        assert stage.length == sum(other.number == stage.number for other in found)
        assert 0 <= epoch - stage.first < stage.length
