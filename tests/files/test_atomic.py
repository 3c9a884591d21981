"""Replacing a file and appending to it: done or not done, and nothing left behind."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import append_line, keep_as, replace_file, replacing
from nni_wiring.files.tensors import replace_tensors


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def test_bytes_and_writers_replace_alike(path: Path) -> None:
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"

    def write(stream: BinaryIO) -> None:
        stream.write(b"by a ")
        assert path.read_bytes() == b"new"  # until all is written
        stream.write(b"writer")

    replace_file(path, write)
    assert path.read_bytes() == b"by a writer"
    assert names(path.parent) == ["file"]


def test_the_users_umask_decides_who_may_read(path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(path, b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt(), OSError(28, "full")])
def test_a_writer_that_fails_leaves_the_old_file_alone(path: Path, failure: BaseException) -> None:
    def write(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise failure

    expected = RunError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected):
        replace_file(path, write)
    assert path.read_bytes() == b"old" and names(path.parent) == ["file"]


def test_a_folder_that_is_gone_is_one_line(path: Path) -> None:
    for write in (
        lambda: replace_file(path.parent / "gone" / "file", b"new"),
        lambda: append_line(path.parent / "gone" / "file", "new"),
        lambda: replace_tensors(path.parent / "gone" / "file", lambda file: None),
    ):
        with pytest.raises(RunError, match="cannot write .*gone/file: No such file"):
            write()


def test_torchs_own_failure_is_one_line_and_leaves_nothing(path: Path) -> None:
    def save(file: Path) -> None:
        file.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed\nwith a second line")

    with pytest.raises(RunError) as caught:
        replace_tensors(path, save)
    assert str(caught.value).endswith("PytorchStreamWriter failed")
    assert path.read_bytes() == b"old" and names(path.parent) == ["file"]


def test_the_content_is_on_the_disk_before_its_name_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of the machine after the rename must not show an empty file."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        size = os.fstat(descriptor).st_size if kind == "file" else 0
        calls.append(f"{kind} {size}" if kind == "file" else kind)
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    replace_file(path, b"12345")
    assert calls == ["file 5", "rename", "folder"]
    calls.clear()
    replace_tensors(path, lambda file: file.write_bytes(b"123"))
    assert calls == ["file 3", "rename", "folder"]
    calls.clear()
    append_line(path, "4567")  # drops "123", which no newline ends
    assert calls == ["file 5"] and path.read_bytes() == b"4567\n"


@pytest.mark.parametrize("links", [True, False])
def test_what_a_file_was_stays_under_another_name(
    links: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as FAT answers

    if not links:
        monkeypatch.setattr(os, "link", refused)
    other = path.with_name("before")
    for old, new in ((b"old", b"newer"), (b"newer", b"newest")):
        for _ in range(2):  # a process that was killed in between does it again
            keep_as(path, other)
            assert (path.read_bytes(), other.read_bytes()) == (old, old)
        replace_tensors(path, lambda file, new=new: file.write_bytes(new), before=other)
        assert (path.read_bytes(), other.read_bytes()) == (new, old)
    assert names(path.parent) == ["before", "file"]


def test_a_write_that_fails_leaves_both_files(path: Path) -> None:
    other = path.with_name("before")
    other.write_bytes(b"older")

    def save(file: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError):
        replace_tensors(path, save, before=other)
    assert (path.read_bytes(), other.read_bytes()) == (b"old", b"older")
    assert names(path.parent) == ["before", "file"]


def test_writers_of_one_file_do_not_meet(path: Path) -> None:
    """Each fills a file of its own before the first is put in place; the last one stays whole."""
    filled, turns = threading.Barrier(3), [threading.Event() for _ in range(3)]
    turns[0].set()

    def write(number: int) -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"%d" % number * 1000)
            filled.wait(30)
            turns[number].wait(30)
        turns[(number + 1) % 3].set()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == b"2" * 1000 and names(path.parent) == ["file"]


def test_a_process_that_is_killed_while_it_writes_harms_nobody(path: Path) -> None:
    child = os.fork()
    if child == 0:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half a fi")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert path.read_bytes() == b"old"
    [left] = [name for name in names(path.parent) if name != "file"]
    assert left.startswith(".file.") and left.endswith(".tmp")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_link_is_replaced_and_never_written_through(path: Path) -> None:
    link = path.parent / "link"
    link.symlink_to(path)
    replace_file(link, b"new")
    assert not link.is_symlink() and link.read_bytes() == b"new"
    link.unlink()
    link.symlink_to(path)
    with pytest.raises(RunError, match="cannot write"):
        append_line(link, "new")
    assert path.read_bytes() == b"old"
