"""Reading what others made: regular files only, lines of bounded length, parsers under limits."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nni_wiring.errors import WiringError
from nni_wiring.files.bounded import ChildError, Limits, in_child
from nni_wiring.files.lines import bounded_lines
from nni_wiring.files.messages import brief, printable, shown
from nni_wiring.files.pickles import load_pickle
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.curves import CurveFile
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.sources.containers import file_hash, mapped, read_compressed
from nni_wiring.truth.storage import read_table


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_regular_files_are_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a")
    for path in (tmp_path / "a", Path("/dev/zero")):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory") as caught:
            regular_file(path)
        assert caught.value.strerror


def test_links_are_followed_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    (tmp_path / "b").symlink_to("a")
    with regular_file(tmp_path / "b") as file:
        assert file.read() == b"content"
    with pytest.raises(OSError, match="symbolic links"):
        regular_file(tmp_path / "b", links=False)


def _map(path: Path) -> None:
    with mapped(path):
        pass


@pytest.mark.parametrize(
    "read",
    [
        lambda path: import_table(path, "pipe", make_default=False),
        lambda path: load_pickle(path, set()),
        lambda path: read_compressed(path, 10),
        _map,
        read_table,
        CurveFile,
    ],
)
def test_no_reader_waits_for_a_pipe(read: Callable[[Path], object], tmp_path: Path) -> None:
    """Each of them waited for ever: that somebody writes into the pipe."""
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(WiringError, match="a.csv.*not a regular file"):
        read(tmp_path / "a.csv")


def test_a_pipe_among_the_files_of_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "000000.pickle.pbz2")
    with pytest.raises(WiringError, match="not a regular file"):
        import_table(tmp_path, "pipe", partial=True, make_default=False)
    assert len(file_hash(tmp_path)) == 64  # what is no file is not hashed


def test_lines_up_to_the_limit() -> None:
    assert list(bounded_lines(io.BytesIO(b"ab\n\ncd"), 3)) == [b"ab\n", b"\n", b"cd"]
    lines = bounded_lines(io.BytesIO(b"ab\nabc\n"), 3)
    assert next(lines) == b"ab\n"
    with pytest.raises(ValueError, match="line 2 has more than 3 bytes"):
        next(lines)


MODULE = """
def size(stream, factor): return factor * len(stream.read())
def fail(stream): raise KeyError("a\\nb\\x1b[1m")
def memory(stream): return len(bytearray(1 << 30))
def die(stream): __import__("os").abort()
def spin(stream):
    while True: pass
def talk(stream): return "x" * (2 << 20)
def write(stream):
    with open("written", "w") as file: file.write("x")
"""


def test_a_child_answers_or_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parsers_of_others.py").write_text(MODULE)
    (tmp_path / "input").write_bytes(b"12345")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    limits = Limits(memory=256 << 20, seconds=1, answer=1 << 20)

    def call(function: str, *arguments: object) -> object:
        with regular_file(tmp_path / "input") as file:
            return in_child("parsers_of_others", function, file, *arguments, limits=limits)

    assert call("size", 3) == 15
    for function, expected in {
        "fail": r"^'a\\nb\\x1b\[1m'$",
        "memory": "more than 256 MiB or 1 s",
        "die": "more than 256 MiB",
        "spin": "more than 256 MiB or 1 s",
        "talk": "more than 1 MiB",
    }.items():
        with pytest.raises(ChildError, match=expected):
            call(function)
    with pytest.raises(ChildError):
        call("write")
    assert not (tmp_path / "written").exists() or not (tmp_path / "written").read_bytes()


def test_what_a_child_imports_is_not_torch() -> None:
    code = "import sys, nni_wiring.files.bounded, nni_wiring.truth.sources.parquet as _"
    command = [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"


def test_foreign_values_in_messages_are_short_at_once() -> None:
    nested: tuple = (1,)
    for _ in range(40):
        nested = (nested, nested)
    values = ["x" * 10**7, 10**6000, nested, {1: nested}, ("a", "b" * 10**6, 10**9), b"\x1b" * 99]
    assert all(len(brief(value)) < 200 and brief(value).isprintable() for value in values)
    assert (brief(("a", 7)), brief(None), brief(1.5)) == ("('a', 7)", "None", "1.5")


def test_nothing_reaches_a_terminal_raw() -> None:
    assert printable("\x1b]0;a\x07\u2028é\n") == r"\x1b]0;a\x07\u2028é\n"
    assert len(printable("x" * 10**6)) == 2000
    assert shown("a\x1bb" + "x" * 10**6).startswith(r"a\x1bbxxx")
