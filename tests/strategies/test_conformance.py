"""Every registered strategy passes the conformance suite."""

from __future__ import annotations

from typing import Any

from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.testing.conformance import StrategyConformance

#: What makes a strategy quick enough for a test.
QUICK: dict[str, dict[str, Any]] = {
    "random_sampling": {"selection_settings": {"samples": 3, "batches": 1}, "epoch_samples": 2},
    "enas": {
        "selection_settings": {"samples": 3, "batches": 1},
        "controller_steps": 2,
        "controller_samples": 2,
    },
    "pc_darts": {"partial_channels": 2},
    "darts_plus": {"max_skips": 6},  # or it may stop before it can be interrupted
}

for _name, _strategy in STRATEGIES.items():
    _class = type(
        f"Test_{_name}",
        (StrategyConformance,),
        {"strategy": _strategy, "settings": QUICK.get(_name, {}), "__doc__": _name},
    )
    globals()[_class.__name__] = _class


class TestProgressiveDrNAS(StrategyConformance):
    """Two stages of one epoch: the suite's interruption falls where channels widen."""

    strategy = STRATEGIES["drnas"]
    settings = {"partial_channels": (2, 1), "keep_operations": (5, 3), "regularisation": "kl"}


class TestENASWithMemory(StrategyConformance):
    """A buffer that overflows before the interruption."""

    strategy = STRATEGIES["enas"]
    settings = {**QUICK["enas"], "memory_weight": 0.5, "memory_size": 3, "memory_samples": 4}
