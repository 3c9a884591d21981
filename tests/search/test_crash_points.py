"""Whatever write a process dies at, doing it again ends as if it had not died: a sample.

`python tests/support/crash_points.py` tries every point (docs/reliability.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_operations import OPERATIONS, prepare_process
from crash_points import Attack, Operation

from nni_wiring.files.atomic import append_line, replace_file

SEED = 3
#: Attempts on each operation; None for all of its points.
ATTEMPTS = {
    "search": 3,
    "search with a selection": 1,
    "select": 2,
    "train": 2,
    "import": 2,
    "cache of the bundled table": None,
    "benchmark build": 3,
    "benchmark build in slices": 1,
    "benchmark build on compressed rows": 1,
    "benchmark merge": 2,
    "benchmark pack": 2,
    "replace a folder": None,
}
#: The writes of the second epoch: its record, then its checkpoint, which keeps the one before.
EPOCH = [
    "append half a line to /epochs.jsonl",
    "fsync /epochs.jsonl",
    "link /.checkpoint.earlier.pt.tmp",
    "replace /checkpoint.earlier.pt",
    "fsync /.checkpoint.pt.tmp",
    "replace /checkpoint.pt",
    "fsync ",
]
#: The end: between the two replacements a run is complete, and still says that it is running.
END = ["replace /result.json", "fsync ", "fsync /.run.json.tmp", "replace /run.json", "fsync "]


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with prepare_process(tmp_path_factory.mktemp("crash") / "cache"):
        yield


@pytest.mark.parametrize("name", ATTEMPTS)
def test_killed_at_a_write_and_done_again(name: str, tmp_path: Path) -> None:
    assert set(ATTEMPTS) == set(OPERATIONS)
    attack, count = Attack(OPERATIONS[name], tmp_path / "attack"), ATTEMPTS[name]
    if name in ("search", "train"):
        for part in (EPOCH, END):
            assert attack.points.count(part[0]) in (1, 2)  # epochs
            assert _follow(attack.points, part)
    total = len(attack.points)
    attempts = [(n,) for n in range(total)] if count is None else attack.sample(count, SEED)
    wrong = {
        ", then ".join(attack.points[point] for point in points): found
        for points in attempts
        if (found := attack.survived(*points))
    }
    assert not wrong


def _follow(points: list[str], part: list[str]) -> bool:
    """In this order; Lightning's own writes may stand between."""
    rest = iter(points)
    return all(point in rest for point in part)


# --- the attack itself finds what does not survive ---


def _lines(folder: Path) -> dict[str, Any]:
    return {"lines": (folder / "lines").read_text() if (folder / "lines").exists() else None}


def _twice(folder: Path) -> None:
    """Appends without asking what is there."""
    append_line(folder / "lines", "one")
    append_line(folder / "lines", "two")


def _once(folder: Path) -> None:
    """Appends what is not there yet."""
    path = folder / "lines"
    for line in ("one", "two"):
        whole = path.read_text().rpartition("\n")[0].split("\n") if path.exists() else []
        if line not in whole:
            append_line(path, line)


def _torn(folder: Path) -> None:
    """Leaves half a file where it is killed, and takes it for a whole one."""
    path = folder / "lines"
    if path.exists():
        return
    with path.open("w", buffering=1) as file:
        file.write("one\n")
        os.fsync(file.fileno())
        file.write("two\n")


def _replaced(folder: Path) -> None:
    replace_file(folder / "lines", b"one\ntwo\n")


@pytest.mark.parametrize(
    ("act", "points", "lost"),
    [
        (_once, ["append half a line to", "fsync"] * 2, []),
        # half a line is dropped by the next append; a whole one before its fsync is there twice
        (_twice, ["append half a line to", "fsync"] * 2, [1, 2, 3]),
        (_torn, ["fsync"], [0]),
        (_replaced, ["fsync", "replace", "fsync"], []),
    ],
)
def test_the_attack_finds_what_is_lost(
    act: Any, points: list[str], lost: list[int], tmp_path: Path
) -> None:
    attack = Attack(Operation("lines", act, _lines), tmp_path / "attack")
    assert [re.split(" /|^fsync $", point)[0] or "fsync" for point in attack.points] == points
    found = [n for n in range(len(points)) if attack.survived(n)]
    assert found == lost
