"""A supernet has one tap a site: nobody takes another's away."""

from __future__ import annotations

from typing import Any

import pytest
from one_shot import evaluator, random_batches, search, tiny_space

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas and pytorch_lightning)

# isort: split
import nni.nas.strategy as nni_strategies
import pytorch_lightning as pl

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.monitor.taps import find_sites
from nni_wiring.strategies.darts import DARTS
from nni_wiring.studies.probes import sample_costs

BATCHES = random_batches(3, seed=1), random_batches(3, seed=2)


class OtherMonitor(WiringMonitor):
    """Lightning itself refuses a second callback of the same class, where both have a state."""


@pytest.mark.parametrize("strategy", [DARTS, nni_strategies.DARTS])
def test_a_second_monitor_is_refused_before_anything_is_trained(strategy: Any) -> None:
    monitors = [WiringMonitor(), OtherMonitor()]
    given = evaluator(*BATCHES, callbacks=monitors)
    with pytest.raises(ConfigError, match="watched already; allowed: one monitor") as caught:
        search(strategy(), tiny_space(), given)
    assert "\n" not in str(caught.value)
    assert [monitor.records for monitor in monitors] == [[], []]


def test_a_monitor_that_is_refused_leaves_nothing_behind() -> None:
    class Latecomer(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            hooks = dict(pl_module.model._forward_hooks)
            with pytest.raises(ConfigError, match="watched already"):
                WiringMonitor().on_fit_start(trainer, pl_module)
            assert dict(pl_module.model._forward_hooks) == hooks

    monitor = WiringMonitor()
    search(DARTS(), tiny_space(), evaluator(*BATCHES, callbacks=[monitor, Latecomer()]))
    assert set(monitor.records[0].cost["weights"].count["0-1"].values()) == {3 * 3}


@pytest.mark.parametrize("strategy", [DARTS, nni_strategies.DARTS])
def test_taking_off_what_was_never_put_on_leaves_the_others_tap(strategy: Any) -> None:
    class Meddler(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            for site in find_sites(pl_module.model):
                site.detach()

    monitor = WiringMonitor()
    search(strategy(), tiny_space(), evaluator(*BATCHES, callbacks=[monitor, Meddler()]))
    counts = monitor.records[0].cost["weights"].count["0-1"]
    assert set(counts.values()) == {3 * 3}  # steps x cells


def test_a_probe_between_epochs_gives_the_tap_back() -> None:
    class Probe(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
            sample_costs(pl_module, BATCHES[0][0])

    monitor = WiringMonitor()
    given = evaluator(*BATCHES, epochs=2, callbacks=[monitor, Probe()])
    search(DARTS(supernet="plain"), tiny_space(), given)
    counts = [record.cost["weights"].count["0-1"] for record in monitor.records]
    assert counts[0] == counts[1] and set(counts[1].values()) == {3 * 3}  # steps x cells
