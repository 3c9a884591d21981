"""One writer a table: imports of one name at once never tear it, and need no temporary folder."""

from __future__ import annotations

import bz2
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_tables import import_new, import_old, table_is_old_or_new

from nni_wiring.errors import BenchmarkError, OwnedError, RunError
from nni_wiring.truth import importer
from nni_wiring.truth.catalogue import forget, table_path
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.ownership import owned_table
from tests.truth.test_hostile_files import pth, record, table


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    forget()


def elsewhere(act: Callable[[], object]) -> list[Exception]:
    """Do it as somebody else; what came of it."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            act()
        except (RunError, BenchmarkError) as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


def test_an_import_between_the_writes_of_another_is_refused_and_the_table_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_old(tmp_path)
    save, refused = importer.save_table, []

    def save_table(path: Path, data: Any) -> None:
        monkeypatch.setattr(importer, "save_table", save)
        refused.extend(elsewhere(lambda: import_old_again(tmp_path)))
        save(path, data)

    monkeypatch.setattr(importer, "save_table", save_table)
    import_new(tmp_path)  # its curves are in place when the other one comes
    table_is_old_or_new(tmp_path)
    (error,) = refused
    assert isinstance(error, OwnedError) and "\n" not in str(error)
    assert str(error).startswith(f"table mine is being written by process {os.getpid()} ")


def import_old_again(folder: Path) -> None:
    import_table(folder / "old.pth", "mine", partial=True)


def test_tables_are_owned_apart_and_a_refused_import_writes_nothing(cache: Path) -> None:
    with owned_table("mine"):
        before = sorted(cache.rglob("*"))
        assert elsewhere(lambda: _owned("mine"))
        assert sorted(cache.rglob("*")) == before
        assert not elsewhere(lambda: _owned("other"))
    assert not elsewhere(lambda: _owned("mine"))


def _owned(name: str) -> None:
    with owned_table(name):
        pass


def test_what_a_killed_import_left_goes_with_the_next_and_that_of_others_stays(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.pth").write_bytes(pth(table()))
    child = os.fork()
    if child == 0:
        killed = lambda *parts: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        import_table(tmp_path / "a.pth", "mine", partial=True, progress=killed)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    tables = cache / "tables"
    (left,) = tables.glob(".import-*")
    others = [tables / ".import-mine-too-abcd_123", tables / ".import-mine2-abcd_123"]
    for other in others:
        other.mkdir()
    written = [tables / f".{name}.123-0123abcd.tmp" for name in ("mine.npz", ".mine.owner.json")]
    elses = [tables / f".{name}.123-0123abcd.tmp" for name in ("mine2.npz", ".x.owner.json")]
    for file in (*written, *elses):
        file.touch()
    import_table(tmp_path / "a.pth", "mine", partial=True)
    assert table_path("mine").exists() and not left.exists()
    assert sorted(tables.glob(".import-*")) == sorted(others)
    assert sorted(tables.glob(".*.tmp")) == sorted(elses)


@pytest.mark.parametrize("name", ["000000.pickle.pbz2", "a.pth"])
def test_an_import_needs_no_folder_of_temporary_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = table()
    content = pth(whole) if name == "a.pth" else bz2.compress(pickle.dumps(whole, 4))
    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert import_table(tmp_path / name, "mine", partial=True).cells == 1


def test_a_disk_that_is_full_while_a_source_is_unpacked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "000000.pickle.pbz2"
    path.write_bytes(bz2.compress(pickle.dumps({"12": record()}, 4)))
    written = open

    def full(file: Any, *given: Any, **more: Any) -> Any:
        name = getattr(file, "name", "")
        return written("/dev/full" if name == "unpacked.pickle" else file, *given, **more)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(BenchmarkError, match=r"cannot be written \(No space left .*disk is full"):
        import_table(path, "mine", partial=True)
