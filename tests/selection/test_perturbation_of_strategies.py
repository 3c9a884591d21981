"""Perturbation reads a cell off the supernet of every strategy, fused or plain."""

from __future__ import annotations

from pathlib import Path

import pytest

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.strategies.registry import STRATEGIES
from search_spaces.cell_graph import parse_arch

#: SGAS decides all edges itself and refuses; ENAS is slow by its controller's own steps.
NAMES = sorted(set(STRATEGIES) - {"sgas", "enas"})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_strategy(name: str, tmp_path: Path) -> None:
    config = make_config(
        {
            "strategy": name,
            "data": "digits",
            "channels": 4,
            "cells": 1,
            "epochs": 1,
            "max_steps": 1,
            "batch_size": 8,
            "selection": "perturbation",
            "selection_settings": {"tune_epochs": 1, "max_steps": 1, "batches": 1},
        }
    )
    result = run_search(config, RunFolder.create(tmp_path / "run", "run", config.flat())).to_json()
    parse_arch(result["arch"])
    trace = result["selection_details"]["trace"]
    assert sorted(entry["edge"] for entry in trace) == ["0-1", "0-2", "0-3", "1-2", "1-3", "2-3"]
    for entry in trace:  # the lowest remaining accuracy, the first of equals
        lowest = min(entry["masked"].values())
        assert entry["chosen"] == next(op for op, v in entry["masked"].items() if v == lowest)
