"""Slices that were built elsewhere, put together in the build of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nni_wiring.building.finish import check_name
from nni_wiring.building.folder import BuildFolder, begun_in, build_path, is_build
from nni_wiring.errors import BenchmarkError, RunError
from nni_wiring.files.messages import shown
from nni_wiring.runs.ownership import owned_place
from nni_wiring.runs.store import RunFolder

#: How far below a folder slices are looked for: NNI's trials lie three folders deep.
_DEPTH = 6


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge.

    Attributes:
        build: what the trainings were added to.
        added: trainings that were new.
        repeated: trainings that were there already; the first stays.
        unequal: those of the repeated ones that say something else than the first.
    """

    build: BuildFolder
    added: int
    repeated: int
    unequal: int


def merge(name: str, folders: Sequence[Path]) -> Merged:
    """Add the trainings of slices to the build of table ``name``, which is begun where there is
    none.

    Args:
        name: of the table.
        folders: of slices, or folders with slices somewhere below them (an NNI experiment's).

    Raises:
        BenchmarkError: no build is there, a slice has other options than the build (the line names
            them), or the name is taken.
        OwnedError: another process builds that table.
        WiringError: a folder is damaged. Nothing was added then.
    """
    path = build_path(name)
    slices = [one for folder in folders for one in _builds_in(folder)]
    if not slices and not (path / "run.json").exists():
        raise BenchmarkError(f"table {name!r} has no build to merge; name the slices' folders")
    if slices and not path.exists():
        check_name(name, slices[0].options)
    with owned_place(path, name):
        if slices and not begun_in(path, slices[0].options):
            target = BuildFolder.at(path, name, slices[0].options)
        else:
            target = BuildFolder.open(path)
        check_name(name, target.options)
        others = [one for one in slices if one.run.path.resolve() != path.resolve()]
        for one in others:
            one.check_same(target.options, str(one.run.path))
        return _add_all(target, others)


def _add_all(target: BuildFolder, others: Sequence[BuildFolder]) -> Merged:
    found = [one.rows() for one in others]  # a damaged one is found before anything is written
    added = repeated = unequal = 0
    known = target.rows()
    for rows in found:
        new = {unit: row for unit, row in rows.items() if unit not in known}
        again = [unit for unit in rows if unit in known]
        unequal += sum(rows[unit].accuracy != known[unit].accuracy for unit in again)
        target.add(new.items())
        known |= new
        added, repeated = added + len(new), repeated + len(again)
    return Merged(target, added, repeated, unequal)


def _builds_in(folder: Path) -> Iterator[BuildFolder]:
    """The build in a folder, else all builds below it."""
    if (folder / "run.json").is_file():
        yield BuildFolder.open(folder)
        return
    found = False
    for path in _run_folders(folder):
        try:
            run = RunFolder.open(path)
        except RunError:  # another program's
            continue
        if is_build(run):
            found = True
            yield BuildFolder.open(path)
    if not found:
        raise BenchmarkError(f"{shown(folder)}: no build of a table is there, nor below")


def _run_folders(folder: Path) -> list[Path]:
    """Folders below with a run in them, sorted; links are not followed."""
    found = []
    start = len(folder.parts)
    for path, names, files in os.walk(folder):
        if len(Path(path).parts) - start >= _DEPTH:
            names.clear()
        if "run.json" in files:
            found.append(Path(path))
            names.clear()
    return sorted(found)
