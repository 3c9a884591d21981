"""SNAS on the one loop."""

from __future__ import annotations

import pytest
from tiny_search import CELLS, STEPS, TinySearch, check_runs

from nni_wiring.strategies.snas import SNAS


@pytest.mark.parametrize("kind", ["ours", "hub"])
def test_runs(kind: str) -> None:
    search = check_runs(SNAS(), kind)
    record = search.monitor.records[-1]
    assert set(record.loss) == {"train"}  # single level: no search half
    for row in search.counts("weights").values():
        assert set(row.values()) == {STEPS * CELLS}  # three steps, every operation


def test_both_levels_move_alpha_on_the_search_half_if_asked() -> None:
    search = TinySearch(SNAS(optimisation="bi_level")).run()
    assert set(search.monitor.records[-1].cost) == {"weights", "alpha"}


def test_the_last_epoch_runs_at_the_last_temperature() -> None:
    strategy = SNAS(tau_start=4.0, tau_end=0.5)
    TinySearch(strategy, epochs=2).run()
    assert strategy.relaxation.temperature == 0.5


def test_defaults_are_those_of_the_single_level_runs() -> None:
    settings, theta = SNAS().settings, SNAS.theta
    assert (settings.optimisation, settings.clip, settings.alpha_clip) == ("single_level", 5, 10)
    assert (settings.alpha_init_mean, settings.alpha_init) == (1.0, 0.01)
    assert (settings.alpha_lr, settings.alpha_weight_decay) == (3e-4, 1e-3)
    assert settings.alpha_betas == (0.5, 0.999)
    assert (theta.epochs, theta.batch_size, theta.lr, theta.lr_min) == (150, 96, 0.025, 0.001)
    assert (theta.momentum, theta.weight_decay, theta.nesterov) == (0.9, 3e-4, False)
