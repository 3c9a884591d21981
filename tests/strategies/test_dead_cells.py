"""A drawn cell whose output is dead: the loss knows no weight and no alpha, the search goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search


@pytest.mark.parametrize("strategy", ["dsnas", "darts"])
@pytest.mark.parametrize("optimisation", ["bi_level", "single_level"])
def test_search_over_dead_cells(strategy: str, optimisation: str, tmp_path: Path) -> None:
    config = make_config(
        {
            "strategy": strategy,
            "optimisation": optimisation,
            "head": "bias_free",
            "operations": {"*": ["none"], "0-1": ["none", "nor_conv_3x3"]},
            "data": "digits",
            "channels": 4,
            "cells": 1,
            "epochs": 1,
            "max_steps": 2,
            "batch_size": 8,
        }
    )
    result = run_search(config, RunFolder.create(tmp_path / "run", "run", config.flat())).to_json()
    assert result["topology"]["connected"] is False
