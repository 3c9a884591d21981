"""A training that kill -9 ended and that went on is the uninterrupted one, bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from nni_wiring.errors import RunError
from nni_wiring.records import EpochRecord
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


def stopped(path: Path, **options: Any) -> RunFolder:
    """A training that was stopped in its third epoch, whose record is written."""
    folder = new_run(path, {**CASES["nasbench201"], **options})

    def stop(record: EpochRecord) -> None:
        if record.epoch == 1:
            (folder.path / "two epochs").mkdir()
            shutil.copy(folder.checkpoint, folder.path / "two epochs")
            shutil.copy(folder.earlier_checkpoint, folder.path / "two epochs")
        elif record.epoch == 2:  # called after the checkpoint: put those of before back
            shutil.copy(folder.path / "two epochs" / folder.checkpoint.name, folder.path)
            shutil.copy(folder.path / "two epochs" / folder.earlier_checkpoint.name, folder.path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_train(make_train_config(folder.config), folder, on_epoch=stop)
    return folder


def test_pieces_of_another_training_are_refused_and_the_earlier_checkpoint_serves(
    tmp_path: Path,
) -> None:
    whole = new_run(tmp_path / "whole" / "run", CASES["nasbench201"])
    run_train(make_train_config(whole.config), whole)
    kept, other = stopped(tmp_path / "run"), stopped(tmp_path / "other", seed=2)
    info = json.loads((kept.path / "run.json").read_text())
    faster = {**info, "config": {**info["config"], "lr": 0.5}}
    changes: dict[str, Any] = {
        "that of run other": lambda f: shutil.copy(other.checkpoint, f.checkpoint),
        "lr .*now says 0.5": lambda f: (f.path / "run.json").write_text(json.dumps(faster)),
        "lacks records of the 2": lambda f: (f.path / "epochs.jsonl").write_text(""),
        "are not those": lambda f: shutil.copy(other.path / "epochs.jsonl", f.path),
    }
    for number, (line, change) in enumerate(changes.items()):
        shutil.copytree(kept.path, tmp_path / str(number) / "run")
        folder = RunFolder.open(tmp_path / str(number) / "run")
        change(folder)
        folder = RunFolder.open(folder.path)
        with pytest.raises(RunError, match=f"run run: .*{line}"):
            run_train(make_train_config(folder.config), folder, resume=True)
        assert RunFolder.open(folder.path).status == "failed"

    kept.checkpoint.write_bytes(kept.checkpoint.read_bytes()[:900])
    seen: list[int] = []
    config = make_train_config(kept.config)
    run_train(config, kept, resume=True, on_epoch=lambda record: seen.append(record.epoch))
    assert seen == [1, 2] and kept.result() == whole.result()
    assert tiny_runs.epochs_without_time(kept) == tiny_runs.epochs_without_time(whole)
