"""A disk that is full, a folder that becomes read-only: one line, a failed run that goes on."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from small_disks import small_disk
from tiny_runs import config_of, epochs_without_time, new_run, resume

from nni_wiring.errors import RunError
from nni_wiring.monitor import event_file
from nni_wiring.records import EpochRecord
from nni_wiring.runs.ownership import owned
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.run import run_search
from nni_wiring.search.whole_run import end_noted

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = new_run(tmp_path_factory.mktemp("whole") / "run")
    run_search(config_of(), folder)
    return folder


def goes_on_as(whole: RunFolder, folder: RunFolder) -> None:
    resume(str(folder.path))
    again = RunFolder.open(folder.path)
    assert again.status == "finished"
    assert epochs_without_time(again) == epochs_without_time(whole)


def test_an_event_file_that_the_disk_takes_no_more_of(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    folder = new_run(tmp_path / "run")
    full = [False]

    class Disk(FileIO):
        def write(self, content: Any) -> int:
            if full[0]:  # half of it, as a disk does that is full by then
                half = len(content) // 2
                if not half:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(memoryview(content)[:half])
            return super().write(content)

    monkeypatch.setattr(event_file, "FileIO", Disk)

    def fill(record: EpochRecord) -> None:
        full[0] = record.epoch == 0

    with pytest.raises(
        RunError, match=r"cannot write .*events.*: No space left on device"
    ) as error:
        run_search(config_of(), folder, on_epoch=fill)
    failed = RunFolder.open(folder.path)
    assert (failed.status, failed.info["error"]) == ("failed", str(error.value))
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    assert [event.step for event in events_in(folder)][-1] == 0  # and no half event behind it
    goes_on_as(whole, folder)


def events_in(folder: RunFolder) -> list[Any]:
    """By TensorBoard's own reader, which ends at a damaged record without a word."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (path,) = folder.tensorboard.glob("events.*")
    found = list(EventFileLoader(str(path)).Load())
    assert sum(len(event.SerializeToString()) for event in found) > 0
    return found


def test_a_folder_that_becomes_read_only_is_one_line_and_goes_on(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tmp_path / "run")

    def end(record: EpochRecord) -> None:
        if record.epoch == 1:
            for name in ("open", "replace", "unlink", "mkdir", "link"):
                monkeypatch.setattr(os, name, refusing(getattr(os, name), folder.path))

    with pytest.raises(RunError) as caught:
        run_search(config_of(), folder, on_epoch=end)
    text = str(caught.value)
    assert "checkpoint" in text and "Read-only file system" in text and "\n" not in text
    assert text.endswith("its run.json, which cannot be written either, still says 'running'")
    monkeypatch.undo()
    goes_on_as(whole, folder)


def refusing(call: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """A system call as it is below a folder of a file system that is read-only."""

    def refused(path: Any, *given: Any, **more: Any) -> Any:
        reads = call.__name__ == "open" and not (given and given[0] & (os.O_WRONLY | os.O_RDWR))
        if str(path).startswith(str(folder)) and not reads:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return call(path, *given, **more)

    return refused


def test_the_last_word_of_a_run_fits_on_a_disk_without_a_free_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tmp_path / "run")
    free, synced, removed = [0], os.fsync, os.unlink

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size > free[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    def unlink(path: Any, **given: Any) -> None:
        if ".tmp" not in str(path) and os.path.exists(path):
            free[0] += os.path.getsize(path)
        removed(path, **given)

    with pytest.raises(RunError, match="no more"), owned(folder), end_noted(folder):
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "unlink", unlink)
        with pytest.raises(RunError, match="No space left"):
            folder.note(truth_dataset="cifar10")
        raise RunError("no more")
    monkeypatch.undo()
    assert RunFolder.open(folder.path).status == "failed"
    assert not list(folder.path.glob(".room*"))


def test_the_command_on_a_small_disk_that_fills_up(tmp_path: Path) -> None:
    with small_disk(tmp_path, "100k") as disk:  # not the first epoch's events
        options = ["channels=4", "cells=1", "epochs=40", "max_steps=1", "batch_size=4"]
        command = [sys.executable, "cli.py", "search", *(f"--set={option}" for option in options)]
        env = os.environ | {"NNI_WIRING_RUNS": str(disk)}
        done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if "rror" in line or "  File" in line]
        assert done.returncode == 1 and len(lines) == 1, done.stderr
        assert re.match(r"error: cannot write .*/events\.\S+: No space left on device", lines[0])
        (path,) = disk.iterdir()
        run = RunFolder.open(path)
        assert run.status == "failed" and "No space left" in run.info["error"]
