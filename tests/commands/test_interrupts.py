"""Ctrl-C ends in one line, with the command that goes on: it is run here, and does."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.building.folder import BuildFolder
from nni_wiring.commands import interrupts, main
from nni_wiring.commands.interrupts import program
from nni_wiring.runs.store import RunFolder
from nni_wiring.search import selecting
from nni_wiring.studies.frame import Findings, Study, StudyRun
from nni_wiring.studies.registry import STUDIES
from nni_wiring.train import run as training

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
TINY = [f"--set={o}" for o in ("channels=4", "cells=1", "epochs=2", "max_steps=2", "batch_size=8")]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "my runs"))
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int = 1) -> None:
    """Press Ctrl-C where `name` of `owner` is called for the `calls`-th time."""
    real: Callable[..., Any] = getattr(owner, name)
    count = 0

    def pressed(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, pressed)


def interrupted(*command: str, told: str = "") -> list[str]:
    """The command that an interrupted one tells, without the program; `told`: its progress."""
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 130, done.output
    assert told in done.stderr
    *_, line = done.stderr.splitlines()
    start, _, again = line.partition(":  ")
    assert start == "interrupted; go on with"
    assert "Traceback" not in done.output
    words = shlex.split(again)
    assert words[:2] == ["python", "cli.py"]
    return words[2:]


def finishes(command: list[str]) -> str:
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "interrupted" not in done.output
    return done.output


def test_a_training_goes_on_after_its_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        once(patch, training, "train_epoch", calls=2)
        again = interrupted("train", ARCH, *TINY)
    (run,) = (tmp_path / "my runs").iterdir()
    assert again == ["train", "--resume", run.name]
    assert [record.epoch for record in RunFolder.open(run).records()] == [0]
    finishes(again)
    assert [record.epoch for record in RunFolder.open(run).records()] == [0, 1]


def test_a_training_that_has_no_epoch_yet_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        once(patch, training, "train_epoch")
        again = interrupted("train", ARCH, *TINY)
    finishes(again)


def test_select_goes_on_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishes(["search", *TINY, "--epochs=1"])
    (run,) = (tmp_path / "my runs").iterdir()
    command = ["select", str(run), "--set=tune_epochs=1", "--set", "batches=1"]
    with monkeypatch.context() as patch:
        once(patch, selecting, "write_json")
        told = f"perturbation on {run.name}: 6 of 6 decisions"
        assert interrupted(*command, told=told) == command
    finishes(command)
    assert (run / "selections" / "perturbation" / "result.json").exists()


def test_a_study_goes_on_with_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def measure(run: StudyRun) -> Findings:
        for part in ("a", "b"):
            run.part(part, lambda part=part: press(part))
        return Findings([], [])

    def press(part: str) -> int:
        done.append(part)
        if done == ["a", "b"]:
            raise KeyboardInterrupt
        return len(done)

    own = Study("two-parts", "two", "here", {}, {}, {}, measure, lambda numbers: {})
    monkeypatch.setitem(STUDIES, own.name, own)
    command = ["study", "two-parts", "--set=channels=4"]
    assert interrupted(*command) == command
    finishes(command)
    assert done == ["a", "b", "b"]


def test_a_build_goes_on_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = tmp_path / "two cells"
    cells.write_text(f"{ARCH}\n{ARCH.replace('avg_pool_3x3', 'nor_conv_3x3')}\n")
    where = ("--space=nasbench201", "--data=digits", "--cells", str(cells), "--name=mine")
    command = ["benchmark", "build", *where, *TINY]
    with monkeypatch.context() as patch:
        once(patch, BuildFolder, "add", calls=2)
        assert interrupted(*command) == command
    assert "from 2 trainings" in finishes(command)


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ("/usr/bin/nni-wiring", "nni-wiring"),
        ("cli.py", "python cli.py"),
        ("/my work/cli.py", "python '/my work/cli.py'"),
        ("-c", "python cli.py"),
    ],
)
def test_the_program_is_named_as_it_was_started(
    started: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts.sys, "argv", [started])
    assert program() == words
