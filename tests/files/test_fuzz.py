"""A seeded sample of changed files for every reader; the longer run is `tests/support/fuzz.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import fuzz
from fuzz_readers import READERS, Reader

from nni_wiring.errors import WiringError

INPUTS = 8


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_changed_files_are_read_or_refused_in_one_line(reader: Reader, tmp_path: Path) -> None:
    inputs = max(1, int(INPUTS * reader.share))
    outcome = fuzz(reader, tmp_path, inputs, 1)
    assert outcome.fault is None, outcome.fault
    assert outcome.tried >= inputs


def _raise(folder: Path) -> None:
    if (folder / "a").read_bytes() != b"1":
        raise KeyError("a")


def _two_lines(folder: Path) -> None:
    if (folder / "a").read_bytes() != b"1":
        raise WiringError("two\nlines")


def _fill(folder: Path) -> None:
    if (folder / "a").read_bytes() != b"1":
        b"x" * (100 << 20)


@pytest.mark.parametrize(
    ("read", "expected"), [(_raise, "KeyError"), (_two_lines, "not one line"), (_fill, "it takes")]
)
def test_a_reader_that_breaks_the_rule_is_found(
    read: Callable[[Path], None], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.MEMORY", 50 << 20)
    reader = Reader("broken", lambda folder: (folder / "a").write_bytes(b"1"), read)
    fault = fuzz(reader, tmp_path, 10, 1).fault
    assert fault is not None and expected in fault
