"""Checkpoints that are cut off, foreign or hostile, and disks that are full."""

from __future__ import annotations

import errno
import os
import pickle
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_disks import small_disk
from tiny_runs import checkpoint, config_of, differences, new_run, resume, run, run_killed

from nni_wiring.errors import RunError
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.checkpoint import finished_epochs, random_states, restore_random_states
from nni_wiring.search.reopen import reopen
from nni_wiring.search.run import run_search


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(tmp_path_factory.mktemp("checkpoint") / "run", epochs=2)


def refusal(path: Path) -> str:
    with pytest.raises(RunError) as caught:
        finished_epochs(path)
    message = str(caught.value)
    assert "\n" not in message and "\x1b" not in message and path.name in message
    return message


def test_a_checkpoint_holds_what_the_search_needs(whole: RunFolder) -> None:
    assert finished_epochs(whole.checkpoint) == 2
    held = checkpoint(whole)
    last = whole.epochs()[-1]
    for edge, row in last["alpha"].items():
        saved = held["alphas"][f"cell/{edge.replace('-', '_')}"]
        assert saved == pytest.approx(row)
    assert len(held["optimizer_states"]) == 2 and len(held["lr_schedulers"]) == 1
    assert not list(whole.path.glob(".checkpoint*"))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_cut_off_checkpoints_are_refused(share: float, whole: RunFolder, tmp_path: Path) -> None:
    content = whole.checkpoint.read_bytes()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content[: int(len(content) * share)])
    assert "corrupt" in refusal(path)


def test_damaged_checkpoints_are_refused_or_hold_what_they_held(
    whole: RunFolder, tmp_path: Path
) -> None:
    """A bit outside all records (in an archive's padding, say) may be any."""
    draw, content = random.Random(3), whole.checkpoint.read_bytes()
    path = tmp_path / "checkpoint.pt"
    for _ in range(40):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            assert finished_epochs(path) == 2
        except RunError as error:
            assert "\n" not in str(error)
        else:
            # another stamp is refused by whoever goes on from it (test_pieces)
            found = differences(torch.load(path, weights_only=True), checkpoint(whole))
            assert [place for place in found if not place.startswith("/stamp")] == []


def test_a_bit_that_flips_in_a_weight_is_noticed(whole: RunFolder, tmp_path: Path) -> None:
    """torch.load itself does not: it hands the other weight out."""
    content, held = whole.checkpoint.read_bytes(), checkpoint(whole)["state_dict"]
    name, weight = max(held.items(), key=lambda item: item[1].numel())
    place = content.index(weight.numpy().tobytes())
    path = tmp_path / "checkpoint.pt"
    damaged = bytearray(content)
    damaged[place + 5] ^= 1
    path.write_bytes(damaged)
    assert not torch.equal(torch.load(path, weights_only=True)["state_dict"][name], weight)
    assert "check sum" in refusal(path)
    folder = new_run(tmp_path / "run")
    folder.checkpoint.write_bytes(damaged)
    for use in (lambda: resume(str(folder.path)), lambda: reopen(folder)):
        with pytest.raises(RunError, match="checkpoint.pt is corrupt or foreign: .*check sum"):
            use()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for content in ({"epoch": 3}, {"epoch": "three"}, [1, 2], torch.zeros(3), {}):
        torch.save(content, path)
        assert "corrupt or foreign" in refusal(path)
    path.write_text("no checkpoint at all")
    refusal(path)
    path.unlink()
    assert "there is none" in refusal(path)
    path.mkdir()
    refusal(path)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_hostile_checkpoints_run_nothing(form: str, whole: RunFolder, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "checkpoint.pt"
    content = {**checkpoint(whole), "callbacks": Hostile(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    assert "weights_only" not in refusal(path)
    folder = new_run(tmp_path / "run", epochs=3)
    folder.checkpoint.write_bytes(path.read_bytes())
    with pytest.raises(RunError, match="checkpoint.pt is corrupt or foreign"):
        resume(str(folder.path))
    assert not marker.exists()
    # the file does run something where it is loaded without care
    if form == "pickle":
        pickle.loads(path.read_bytes())
        assert marker.exists()


def test_a_corrupt_checkpoint_leaves_the_run_readable(tmp_path: Path) -> None:
    killed = run_killed(tmp_path / "run", 3 * 2 + 1)
    records = killed.epochs()
    with zipfile.ZipFile(killed.checkpoint) as archive:
        assert archive.testzip() is None
    killed.checkpoint.write_bytes(killed.checkpoint.read_bytes()[:500])
    with pytest.raises(RunError, match="corrupt"):
        resume(str(killed.path))
    again = RunFolder.open(killed.path)
    assert again.status == "failed" and "corrupt" in again.info["error"]
    assert again.epochs() == records


def test_a_checkpoint_that_is_a_link_is_refused(whole: RunFolder, tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run")
    (folder.path / "checkpoint.pt").symlink_to(whole.checkpoint)
    with pytest.raises(RunError, match="link"):
        resume(str(folder.path))


def test_random_states_are_put_back() -> None:
    def draws() -> list[float]:
        values = [random.gauss(0, 1), np.random.normal(), float(torch.randn(()))]
        return [*values, random.random(), np.random.rand(), float(torch.rand(()))]

    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    draws()
    states = random_states()
    expected = draws()
    draws()
    restore_random_states(states)
    assert draws() == expected


# --- full disks ---


def readable(path: Path, epochs: int) -> RunFolder:
    folder = RunFolder.open(path)
    assert [record["epoch"] for record in folder.epochs()] == list(range(epochs))
    return folder


def test_a_full_disk_at_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, replace, calls = new_run(tmp_path / "run"), os.replace, [0]

    def full(source: Any, target: Any, **given: Any) -> None:
        if Path(target).name == "checkpoint.pt":
            calls[0] += 1
            if calls[0] == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target, **given)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="checkpoint.pt.*No space left") as caught:
        run_search(config_of(), folder)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert readable(folder.path, 2).status == "failed"
    assert finished_epochs(folder.checkpoint) == 1  # the last good one
    assert not list(folder.path.glob(".checkpoint*"))
    resume(str(folder.path))
    assert readable(folder.path, 3).status == "finished"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "2m") as place:
        yield place


def test_a_disk_that_is_full_after_the_first_epoch(disk: Path) -> None:
    folder = new_run(disk / "run")

    def fill(record: EpochRecord) -> None:
        if record.epoch == 0:
            filler = disk / "filler"
            with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)

    with pytest.raises((RunError, OSError)) as caught:
        run_search(config_of(channels=8), folder, on_epoch=fill)
    assert len(str(caught.value).splitlines()) == 1
    (disk / "filler").unlink()
    assert len(RunFolder.open(folder.path).epochs()) >= 1
    resume(str(folder.path))
    assert readable(folder.path, 3).status == "finished"
