"""Progress as a terminal draws it, and as a log file holds it."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nni_wiring.commands import progress as module
from nni_wiring.commands.progress import Tell, progress, steps
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.search.steps import StepCounter
from nni_wiring.studies.frame import Findings, Study, StudyRun
from nni_wiring.studies.running import run_study

TINY = {"channels": 4, "cells": 1, "epochs": 2, "max_steps": 3, "batch_size": 8}


def clock(monkeypatch: pytest.MonkeyPatch, seconds: Iterable[float]) -> None:
    times = iter(seconds)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))


def test_off_a_terminal_a_line_a_minute_tells_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock(monkeypatch, (100.0, 130.0, 190.0, 280.0))
    with progress("table x", every=60) as tell:
        for done in (10, 15, 20, 40):
            tell(done, 40, "trainings")
    # ten trainings in 90 s, twenty are left; the second call came too early for a line
    assert capsys.readouterr().err.splitlines() == [
        "table x: 10 of 40 trainings",
        "table x: 20 of 40 trainings, about 3 minutes left",
        "table x: 40 of 40 trainings",
    ]


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [
        ((0.0, 4.0, 8.0), []),
        ((0.0, 11.0, 12.0), ["reading x: 50 %", "reading x: 100 %"]),
    ],
)
def test_a_quick_reading_is_silent(
    seconds: tuple[float, ...],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock(monkeypatch, seconds)
    with progress("reading x", early=False) as tell:
        tell(50, 100, "bytes")
        tell(100, 100, "bytes")
    assert capsys.readouterr().err.splitlines() == lines


def test_a_line_is_in_the_file_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    with log.open("w", buffering=4096) as stream:  # as a shell's redirection is buffered
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("select", every=0) as tell:
            for done in (1, 2):
                tell(done, 3, "decisions")
                assert log.read_text().count("\n") == done
        with steps("study") as (say, _):
            say("search a")
            assert log.read_text().endswith("search a\n")


def test_within_a_step_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock(monkeypatch, range(0, 100, 3))
    with steps("study") as (say, now_and_then):
        say("search a")
        for epoch in range(1, 10):
            now_and_then(f"epoch {epoch}")
    # three seconds an epoch: the fourth is the first that ends ten seconds after the last line
    assert capsys.readouterr().err.split("\n")[:-1] == ["search a", "epoch 4", "epoch 8"]


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Iterator[list[str]]:
    """Make stderr a terminal; its lines are in the list at the end, whenever they were drawn."""
    master, slave = pty.openpty()
    drawn, lines = bytearray(), list[str]()

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(master, 4096):
                drawn.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(slave, "w") as stream:
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stderr", stream)
        yield lines
    reader.join()
    os.close(master)
    plain = re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", drawn.decode())
    lines += [line.rstrip() for line in re.split("[\r\n]+", plain) if line.strip()]


def three(tell: Tell) -> None:
    for done in (1, 2, 3):
        tell(done, 6, "decisions")


@pytest.mark.parametrize("columns", [60, 100])
def test_a_terminal_shows_one_line_that_fits(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    title = "perturbation on darts-s1-20261125-180528-732b"
    with terminal(monkeypatch, columns) as lines, progress(title) as tell:
        three(tell)

    assert all(len(line) <= columns and "perturbation" in line for line in lines)
    assert "3 of 6 decisions" in lines[-1]


def test_a_step_s_text_is_shown_as_it_is_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 60) as lines, steps("study") as (say, _):
        say(f"search [bold]a {'x' * 60}")
        time.sleep(0.2)  # drawn twelve times a second

    told = [line for line in lines if "study" not in line]
    assert told and all("search [bold]a xxx" in line and len(line) <= 60 for line in told)


def test_every_step_of_a_search_is_counted(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    config = make_config({**TINY, "data": "digits"})
    run = RunFolder.create(tmp_path / "run", "run", config.flat())
    run_search(config, run, probes=[StepCounter(lambda done, total: told.append((done, total)))])

    assert told == [(step, 6) for step in range(1, 7)]


def test_a_study_tells_the_epochs_of_its_searches(tmp_path: Path) -> None:
    def measure(run: StudyRun) -> Findings:
        run.search("a")
        return Findings([], [])

    own = Study("one-search", "one", "here", {}, TINY, {}, measure, lambda numbers: {})
    said: list[str] = []
    run_study(own, own.options({}), tmp_path / "s", said.append, said.append)

    assert said == ["search a", "search a: epoch 1 of 2", "search a: epoch 2 of 2"]
