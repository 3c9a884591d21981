"""Several processes: what would let alphas part is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from one_shot import Task, tiny_space

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.strategies.registry import STRATEGIES

#: Alpha's gradient is computed beside the backward pass that processes average.
REFUSED: list[dict[str, Any]] = [
    {"name": "darts", "order": 2},
    {"name": "darts_plus", "order": 2},
    {"name": "dsnas"},
    {"name": "proxylessnas"},
    {"name": "enas"},
]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("case", [*REFUSED, {"name": "darts"}, {"name": "gdas"}], ids=str)
def test_updates_that_average_nothing_need_one_process(
    case: dict[str, Any], processes: int
) -> None:
    settings = dict(case)
    strategy = STRATEGIES[settings.pop("name")](**settings)
    model = strategy.mutate_model(tiny_space())
    module: Any = strategy.configure_oneshot_module(Task())
    module.set_model(model)
    module._trainer = SimpleNamespace(world_size=processes)
    if processes == 1 or case not in REFUSED:
        module.on_fit_start()
        return
    with pytest.raises(ConfigError, match=f"strategy {strategy.name}.* got 2 processes"):
        module.on_fit_start()


def test_a_monitor_records_no_shard() -> None:
    trainer: Any = SimpleNamespace(world_size=2)
    with pytest.raises(ConfigError, match="WiringMonitor: got 2 processes.*allowed: 1"):
        WiringMonitor().on_fit_start(trainer, Any)
