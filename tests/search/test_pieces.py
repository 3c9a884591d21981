"""A run goes on from pieces of its own only, and from its earlier checkpoint where the last is
unreadable.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import (
    checkpoint,
    config_of,
    differences,
    epochs_without_time,
    new_run,
    resume,
    run,
    without_pictures,
)

from nni_wiring.errors import RunError
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import reopen
from nni_wiring.search.run import run_search

OPTIONS = {"max_steps": 2, "momentum": 0.9}


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Any:
    """They take most of the time, and nothing of the search depends on them."""
    with without_pictures():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> RunFolder:
    return run(tmp_path_factory.mktemp("whole") / "run", **OPTIONS)


def interrupted(path: Path, after: int, **options: Any) -> RunFolder:
    """A run that was stopped once `after` epochs, and the record of the next, were written."""
    folder = new_run(path, **{**OPTIONS, **options})

    def stop(record: EpochRecord) -> None:
        if record.epoch == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_search(make_config(folder.config), folder, on_epoch=stop)
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> RunFolder:
    return interrupted(tmp_path_factory.mktemp("stopped") / "run", after=2)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> RunFolder:
    return interrupted(tmp_path_factory.mktemp("another") / "other", after=2)


def copy_of(folder: RunFolder, path: Path) -> RunFolder:
    shutil.copytree(folder.path, path)
    return RunFolder.open(path)


def with_options(**options: Any) -> Callable[[RunFolder, RunFolder], None]:
    def change(folder: RunFolder, another: RunFolder) -> None:
        info = json.loads((folder.path / "run.json").read_text())
        info["config"] |= options
        (folder.path / "run.json").write_text(json.dumps(info))

    return change


def with_content(change: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    def rewrite(folder: RunFolder, another: RunFolder) -> None:
        content = torch.load(folder.checkpoint, weights_only=True)
        change(content)
        torch.save(content, folder.checkpoint)

    return rewrite


def with_lines(change: Callable[[list[str]], list[str]]) -> Callable[..., None]:
    def rewrite(folder: RunFolder, another: RunFolder) -> None:
        path = folder.path / "epochs.jsonl"
        path.write_text("".join(change(path.read_text().splitlines(keepends=True))))

    return rewrite


def without_moments(content: dict[str, Any]) -> None:
    content["optimizer_states"][0]["state"].clear()


#: what is done to a run that was stopped, and a part of the line that refuses it
PIECES: dict[str, tuple[Callable[[RunFolder, RunFolder], Any], str]] = {
    "another run's checkpoint": (
        lambda folder, another: shutil.copy(another.checkpoint, folder.checkpoint),
        "its checkpoint is that of run other",
    ),
    "seed": (with_options(seed=2), "seed 1, run.json now says 2"),
    "lr": (with_options(lr=0.5), "lr 0.025, run.json now says 0.5"),
    "fewer epochs": (with_options(epochs=2), "epochs 3, run.json now says 2"),
    "more epochs": (with_options(epochs=9), "epochs 3, run.json now says 9"),
    "no optimiser": (
        with_content(lambda content: content.update(optimizer_states=[])),
        "it holds no states of the optimisers",
    ),
    "one optimiser of two": (
        with_content(
            lambda content: content.update(optimizer_states=content["optimizer_states"][:1])
        ),
        "lacks values of its optimizer_states",
    ),
    "no moments": (with_content(without_moments), "lacks values of its optimizer_states"),
    "no records": (with_lines(lambda lines: []), "lacks records of the 2 epochs"),
    "no file of records": (
        lambda folder, another: (folder.path / "epochs.jsonl").unlink(),
        "lacks records of the 2 epochs",
    ),
    "a gap": (with_lines(lambda lines: lines[1:]), "lacks records of the 2 epochs"),
    "another run's records": (
        lambda folder, another: shutil.copy(another.path / "epochs.jsonl", folder.path),
        "the first 2 records of epochs.jsonl are not those",
    ),
    "a changed number": (
        with_lines(lambda lines: [lines[0].replace('"steps": 2', '"steps": 3'), *lines[1:]]),
        "the first 2 records of epochs.jsonl are not those",
    ),
    "no checkpoint": (
        lambda folder, another: [folder.checkpoint.unlink(), folder.earlier_checkpoint.unlink()],
        "records of 3 epochs, but no checkpoint",
    ),
}


@pytest.mark.parametrize("piece", PIECES)
def test_what_does_not_belong_is_refused_in_one_line_and_nothing_is_lost(
    piece: str, stopped: RunFolder, another: RunFolder, tmp_path: Path
) -> None:
    folder = copy_of(stopped, tmp_path / "run")
    change, line = PIECES[piece]
    change(folder, another)
    if piece == "no optimiser":  # unreadable: the earlier one would serve
        folder.earlier_checkpoint.unlink()
    kept = {
        path: path.read_bytes()
        for path in folder.path.iterdir()
        if path.suffix != ".json" and path.is_file()
    }
    with pytest.raises(RunError) as caught:
        resume(str(folder.path))
    message = str(caught.value)
    assert line in message and "\n" not in message
    again = RunFolder.open(folder.path)
    assert (again.status, again.info["error"]) == ("failed", message)
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.parametrize("piece", ["another run's checkpoint", "seed", "lr", "a gap"])
def test_a_search_is_not_opened_again_from_pieces_of_another(
    piece: str, stopped: RunFolder, another: RunFolder, tmp_path: Path
) -> None:
    folder = copy_of(stopped, tmp_path / "run")
    PIECES[piece][0](folder, another)
    with pytest.raises(RunError) as caught:
        reopen(RunFolder.open(folder.path))
    assert "\n" not in str(caught.value) and "checkpoint" in str(caught.value)


def same(whole: RunFolder, folder: RunFolder) -> None:
    assert folder.status == "finished"
    assert epochs_without_time(whole) == epochs_without_time(folder)
    assert differences(checkpoint(whole), checkpoint(folder)) == []
    assert whole.result() == folder.result()


def test_where_it_computes_may_change(
    whole: RunFolder, stopped: RunFolder, another: RunFolder, tmp_path: Path
) -> None:
    folder = copy_of(stopped, tmp_path / "run")
    with_options(device="cpu", threads=1, data_dir="elsewhere")(folder, another)
    resume(str(folder.path))
    again = RunFolder.open(folder.path)
    assert again.status == "finished" and epochs_without_time(again) == epochs_without_time(whole)


def unstamped(content: dict[str, Any]) -> None:
    del content["stamp"]


def test_a_checkpoint_of_before_goes_on(
    whole: RunFolder, stopped: RunFolder, another: RunFolder, tmp_path: Path
) -> None:
    folder = copy_of(stopped, tmp_path / "run")
    with_content(unstamped)(folder, another)
    folder.earlier_checkpoint.unlink()
    resume(str(folder.path))
    same(whole, RunFolder.open(folder.path))


DAMAGE: dict[str, Callable[[RunFolder], Any]] = {
    "cut off": lambda folder: folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:900]),
    "gone": lambda folder: folder.checkpoint.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_last_checkpoint_that_cannot_be_read_is_followed_by_the_earlier(
    damage: str, whole: RunFolder, stopped: RunFolder, tmp_path: Path
) -> None:
    folder = copy_of(stopped, tmp_path / "run")
    assert checkpoint(folder)["epoch"] == 1 and len(folder.epochs()) == 3
    seen: list[int] = []
    DAMAGE[damage](folder)
    run_search(
        make_config(folder.config), folder, resume=True, on_epoch=lambda r: seen.append(r.epoch)
    )
    assert seen == [1, 2]  # after the one epoch of the earlier checkpoint
    same(whole, RunFolder.open(folder.path))


def test_the_last_two_are_kept_and_a_damaged_one_never_takes_the_place_of_a_good_one(
    stopped: RunFolder, tmp_path: Path
) -> None:
    folder = copy_of(stopped, tmp_path / "run")
    epochs = [
        torch.load(path, weights_only=True)["epoch"] + 1
        for path in (folder.earlier_checkpoint, folder.checkpoint)
    ]
    assert epochs == [1, 2]
    DAMAGE["cut off"](folder)

    def stop(record: EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_search(make_config(folder.config), folder, resume=True, on_epoch=stop)
    assert checkpoint(folder)["epoch"] == 0  # the earlier one is the last one now


def test_a_disk_that_is_full_at_the_result_leaves_a_failed_run_that_goes_on(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).name == "result.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    folder = new_run(tmp_path / "run", **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(RunError, match="result.json.*No space left"):
            run_search(config_of(**OPTIONS), folder)
    failed = RunFolder.open(folder.path)
    assert failed.status == "failed" and "No space left" in failed.info["error"]
    resume(str(folder.path))
    same(whole, RunFolder.open(folder.path))
