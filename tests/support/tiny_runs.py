"""Whole searches in a run folder, in this process or one that dies in the middle of an epoch."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import RunConfig, make_config
from nni_wiring.search.run import run_search
from nni_wiring.search.task import ClassificationTask

TINY = {"channels": 4, "cells": 1, "epochs": 3, "max_steps": 3, "batch_size": 8}


@contextmanager
def without_pictures() -> Iterator[None]:
    """Searches that draw no pictures, which take most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TensorBoardSink, "_pictures", lambda self, record: {})
        yield


def config_of(**options: Any) -> RunConfig:
    return make_config({**TINY, **options})


def new_run(path: Path, **options: Any) -> RunFolder:
    return RunFolder.create(path, path.name, config_of(**options).flat())


def run(path: Path, **options: Any) -> RunFolder:
    """A finished run."""
    folder = new_run(path, **options)
    run_search(make_config(folder.config), folder)
    return folder


def _die_in_step(path: str, passes: int) -> None:
    step = ClassificationTask.training_step
    seen = [0]

    def training_step(self: ClassificationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        seen[0] += 1
        if seen[0] > passes:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, batch_idx)

    ClassificationTask.training_step = training_step  # type: ignore[method-assign]
    folder = RunFolder.open(path)
    run_search(make_config(folder.config), folder)


def run_killed(path: Path, passes: int, **options: Any) -> RunFolder:
    """A run whose process kill -9 ended in forward pass number `passes` + 1."""
    new_run(path, **options)
    child = multiprocessing.get_context("fork").Process(
        target=_die_in_step, args=(str(path), passes)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    return RunFolder.open(path)


def resume(path: str) -> None:
    """Resume a run to its end."""
    folder = RunFolder.open(path)
    run_search(make_config(folder.config), folder, resume=True)


def resume_elsewhere(path: Path) -> RunFolder:
    """Resume a run to its end in a process of its own."""
    child = multiprocessing.get_context("fork").Process(target=resume, args=(str(path),))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    return RunFolder.open(path)


def epochs_without_time(folder: RunFolder) -> list[dict[str, Any]]:
    """The lines of epochs.jsonl, less the seconds."""
    lines = (folder.path / "epochs.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two checkpoints differ, bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        found = [f"{path}/{key}" for key in set(a) ^ set(b)]
        shared = [(key, a[key], b[key]) for key in set(a) & set(b)]
        return found + [d for key, x, y in shared for d in differences(x, y, f"{path}/{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return [path]
        pairs = enumerate(zip(a, b, strict=True))
        return [d for number, (x, y) in pairs for d in differences(x, y, f"{path}/{number}")]
    return [] if a == b or (a != a and b != b) else [path]


def checkpoint(folder: RunFolder) -> dict[str, Any]:
    """The content of a run's checkpoint, less the hash of its records, which hold the seconds."""
    loaded: dict[str, Any] = torch.load(folder.checkpoint, weights_only=True)
    del loaded["stamp"]["records"]
    return loaded
