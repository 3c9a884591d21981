"""A training that kill -9 ended and that went on is the uninterrupted one, bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from nni_wiring.runs.store import RunFolder
from nni_wiring.train import loop
from nni_wiring.train.config import make_train_config
from nni_wiring.train.run import run_train
from search_spaces.genotypes import DARTS_GRAPH

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
DEEP = ";".join(
    f"{kind}/{edge}={'sep_conv_3x3' if edge == '0-2' else 'skip_connect'}"
    for kind in ("normal", "reduce")
    for edge in DARTS_GRAPH.edge_names
)
TINY = {"channels": 4, "cells": 1, "epochs": 3, "max_steps": 3, "batch_size": 8}
CASES = {
    "nasbench201": {"arch": ARCH, **TINY},
    "drop path draws from torch's generator": {
        **TINY,
        **{"arch": DEEP, "space": "darts", "cells": 3, "drop_path": 0.5, "clip": 5.0},
    },
}


def train(path: str, resume: bool, passes: int | None = None) -> None:
    """Train a run to its end, or kill -9 this process in forward pass `passes` + 1."""
    step, seen = loop.train_step, [0]

    def dying(*arguments: Any) -> Any:
        seen[0] += 1
        if passes is not None and seen[0] > passes:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments)

    loop.train_step = dying
    folder = RunFolder.open(path)
    run_train(make_train_config(folder.config), folder, resume=resume)


def in_a_process(path: Path, resume: bool, passes: int | None = None) -> int | None:
    context = multiprocessing.get_context("fork")
    child = context.Process(target=train, args=(str(path), resume, passes))
    child.start()
    child.join(120)
    return child.exitcode


def new_run(path: Path, options: dict[str, Any]) -> RunFolder:
    return RunFolder.create(path, path.name, make_train_config(options).flat())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("passes", [1, 4, 8])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, case: str, passes: int) -> None:
    whole, killed = (new_run(tmp_path / name / "run", CASES[case]) for name in ("whole", "killed"))
    assert in_a_process(whole.path, resume=False) == 0
    assert in_a_process(killed.path, resume=False, passes=passes) == -signal.SIGKILL
    assert len(RunFolder.open(killed.path).epochs()) == passes // 3
    assert in_a_process(killed.path, resume=True) == 0
    assert tiny_runs.epochs_without_time(whole) == tiny_runs.epochs_without_time(killed)
    assert not tiny_runs.differences(tiny_runs.checkpoint(whole), tiny_runs.checkpoint(killed))
    assert whole.result() == killed.result()
    assert RunFolder.open(killed.path).status == "finished"


def test_a_kill_after_the_last_epoch_leaves_only_the_result_to_write(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run", CASES["nasbench201"])
    config = make_train_config(folder.config)
    result = run_train(config, folder)
    records = (folder.path / "epochs.jsonl").read_bytes()
    (folder.path / "result.json").unlink()
    folder.set_status("running")  # as a process that was killed leaves it
    again = run_train(config, RunFolder.open(folder.path), resume=True)
    assert again == result
    assert (folder.path / "epochs.jsonl").read_bytes() == records
