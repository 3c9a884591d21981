"""The comparison experiment covers every strategy, and NNI runs its whole grid."""

from __future__ import annotations

from math import prod
from pathlib import Path

import yaml

from nni_wiring.search.config import make_config
from nni_wiring.strategies.registry import STRATEGIES

CONFIG = Path(__file__).resolve().parents[2] / "tuner_configs" / "compare.yml"


def test_covers_every_strategy() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    grid = {name: choice["_value"] for name, choice in config["searchSpace"].items()}
    assert set(grid["strategy"]) == set(STRATEGIES)
    assert config["maxTrialNumber"] == prod(len(values) for values in grid.values())
    for strategy in grid["strategy"]:
        make_config({**{name: values[0] for name, values in grid.items()}, "strategy": strategy})
