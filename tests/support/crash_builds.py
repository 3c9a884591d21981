"""The operations on a truth of one's own that the crash points are those of.

The commands themselves run, in this process; their trainings are real ones. Only the seconds that a
training took are always the same, so that tables and check sums can be compared bit for bit.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from crash_tables import table_content, tables_in
from tiny_truths import NINE, images, listed

from nni_wiring.building import work
from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.rows import ROWS, Row, packed_rows
from nni_wiring.building.trainer import train_cells
from nni_wiring.commands import benchmark_build, benchmark_pack, main  # noqa: F401
from nni_wiring.truth import load_table
from nni_wiring.truth.sources import bundled
from nni_wiring.truth.storage import read_table

#: Two cells of different classes, both with something to train.
CELLS = NINE[5:7]
SETTINGS = ("channels=2", "cells=1", "epochs=2", "max_steps=1", "batch_size=6", "eval_epochs=[1]")
#: Of the file that keeps the name of the images, which must not depend on the operation's folder.
_DATA = "data.txt"


def images_and_cells(folder: Path) -> None:
    """What a user has before a build."""
    place = folder.parent / "images"  # beside the copies of this folder, so of one name in all
    place.mkdir()
    (folder / _DATA).write_text(images(place))
    listed(folder, CELLS)


def build(folder: Path) -> None:
    """From nothing, or from what there is, to the table."""
    _build(folder)


def build_in_slices(folder: Path) -> None:
    """Slice after slice in one folder; the last one makes the table."""
    _build(folder, "--slice", "1/2")
    _build(folder, "--slice", "2/2")


def keep_a_slice_compressed(folder: Path) -> None:
    """A build of which one training is there, its rows compressed as they are kept."""
    images_and_cells(folder)
    _build(folder, "--slice", "1/2")
    rows = _builds(folder / "cache") / ROWS
    packed_rows(rows).write_bytes(gzip.compress(rows.read_bytes(), mtime=0))
    rows.unlink()


def build_two_slices(folder: Path) -> None:
    """Two slices of two machines."""
    images_and_cells(folder)
    for number in (1, 2):
        _build(folder, "--slice", f"{number}/2", cache=f"machine-{number}")


def merge(folder: Path) -> None:
    """Put them together on a third one."""
    slices = [str(_builds(folder / f"machine-{number}")) for number in (1, 2)]
    _command(folder, "merge", "mine", *slices)


def build_and_pack(folder: Path) -> None:
    """A whole build, and a packed file of that name that has something else in it."""
    images_and_cells(folder)
    _build(folder)
    _packed(folder).parent.mkdir()
    _packed(folder).write_bytes((folder / "cache" / "tables" / "mine.npz").read_bytes())


def pack(folder: Path) -> None:
    """Put the build's own packed file in its place."""
    _command(folder, "pack", "mine", "--to", str(_packed(folder).parent))


def a_table_is_whole(folder: Path) -> None:
    """A kill leaves a whole table or none, and rows that can be read, in a build that is one."""
    tables = [*folder.glob("cache/tables/*.npz")]
    for path in tables:
        assert read_table(path).info["trainings"] == len(CELLS)
    place = _builds(folder / "cache")
    begun = json.loads((place / "run.json").read_text()) if (place / "run.json").exists() else {}
    if "kind" in begun:
        rows = BuildFolder.open(place).rows()
        assert len(rows) == len(CELLS) or not tables


def packed_is_whole(folder: Path) -> None:
    """A kill leaves the old file or the new one."""
    assert read_table(_packed(folder)).info["trainings"] == len(CELLS)


def build_state(folder: Path) -> dict[str, Any]:
    """All files, by name: bytes, the members of tables, and what is told of a run but its date.

    Temporary files beside a packed one are left out: nobody owns the folder that they are in.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        left = path.parent == _packed(folder).parent and path.name.startswith(".")
        if path.is_file() and not left:
            found[str(path.relative_to(folder))] = _content(path)
    return found


def _content(path: Path) -> Any:
    if path.name != "run.json":
        return table_content(path)
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "created"}


def _builds(cache: Path) -> Path:
    return cache / "builds" / "mine"


def _packed(folder: Path) -> Path:
    return folder / "out" / "mine.npz"


def _build(folder: Path, *more: str, cache: str = "cache") -> None:
    given = ["--space", "nasbench201", "--data", (folder / _DATA).read_text(), "--name", "mine"]
    given += ["--cells", str(folder / "cells.txt"), *more]
    given += [word for setting in SETTINGS for word in ("--set", setting)]
    _command(folder, "build", *given, cache=cache)


def _command(folder: Path, *arguments: str, cache: str = "cache") -> None:
    """Run `benchmark ...`; AssertionError with its words where it does not end well."""
    said, bundle = io.StringIO(), load_table("bundled")
    with (
        tables_in(folder, cache),
        mock.patch.object(bundled, "load", lambda: bundle.data),  # else its cache is made here
        mock.patch.object(work, "trainer_of", _timeless),
        redirect_stdout(said),
        redirect_stderr(said),
    ):
        code = main.main(["benchmark", *arguments], "nni-wiring", standalone_mode=False)
    assert not code, said.getvalue()


def _timeless(kernels: bool) -> Callable[[Mapping[str, Any], Sequence[str], int], list[Row]]:
    """The trainer, on a clock that stands still."""
    assert not kernels

    def train(options: Mapping[str, Any], archs: Sequence[str], seed: int) -> list[Row]:
        return [replace(row, cpu=1.0) for row in train_cells(options, archs, seed)]

    return train
