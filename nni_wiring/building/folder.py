"""BuildFolder: a build on disk, a run folder of kind "build" with a row per finished training."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from nni_wiring.building.options import BuildOptions, make_build_options
from nni_wiring.building.plan import WHOLE, Plan, Slice, Unit, make_plan
from nni_wiring.building.rows import ROWS, Row, append_row, packed_rows, read_rows, rows_content
from nni_wiring.errors import BenchmarkError, WiringError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.messages import shown
from nni_wiring.runs.ownership import owned_place
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth.archive import cache_dir

#: The kind that ``run.json`` tells.
KIND = "build"
#: The setting that names the part of a build that a folder was made for, as an NNI trial's is.
SLICE = "slice"


def build_path(name: str) -> Path:
    """The folder of the build of table ``name``, beside the tables."""
    return cache_dir() / "builds" / name


def is_build(run: RunFolder) -> bool:
    """True for a folder that holds a build, or a slice of one."""
    return run.info.get("kind") == KIND


def begun_in(path: Path, options: BuildOptions) -> bool:
    """False where no run is in ``path``, or the beginning of this build only: the process that
    made the folder was killed before the folder said that it is a build's.
    """
    if not (path / "run.json").exists():
        return False
    run = RunFolder.open(path)
    if "kind" in run.info:
        return True
    try:
        return bool(options.differences(make_build_options(run.config)))
    except WiringError:  # another kind of run
        return True


class BuildFolder:
    """A build, or the slice of one that was made in this folder.

    Attributes:
        run: the folder.
        options: of the build.
    """

    def __init__(self, run: RunFolder, options: BuildOptions) -> None:
        self.run, self.options = run, options

    @classmethod
    def at(cls, path: Path, name: str, options: BuildOptions) -> BuildFolder:
        """The build in ``path``, which is begun where there is none.

        Raises:
            OwnedError: another process builds in that folder, or begins to.
            BenchmarkError: a build with other options is there; the line names them.
            RunError: the folder is another run's, or cannot be written.
        """
        with owned_place(path, name):
            if not (path / "run.json").exists():
                return cls.begun(RunFolder.create(path, name, options.flat()), options)
            if not begun_in(path, options):
                return cls.begun(RunFolder.open(path), options)
            build = cls.open(path)
            build.check_same(options, f"{name}: its build")
            return cls(build.run, options)

    @classmethod
    def begun(cls, run: RunFolder, options: BuildOptions, part: Slice | None = None) -> BuildFolder:
        """Make a run's folder that of a build, or of a slice alone."""
        own = {} if part is None else {SLICE: f"{part.number}/{part.parts}"}
        run.note(kind=KIND, config=options.flat() | own)
        return cls(run, options)

    @classmethod
    def open(cls, path: Path) -> BuildFolder:
        """The build in ``path``; a WiringError where there is none, or its options are foreign."""
        run = RunFolder.open(path)
        if not is_build(run):
            raise BenchmarkError(f"{shown(path)} holds a run, but no build of a table")
        config = {name: value for name, value in run.config.items() if name != SLICE}
        return cls(run, make_build_options(config))

    def check_same(self, options: BuildOptions, whose: str) -> None:
        """Raise BenchmarkError where this build's options are not ``options``."""
        differences = options.differences(self.options)
        if differences:
            raise BenchmarkError(f"{whose} has other options: {differences}")

    @cached_property
    def plan(self) -> Plan:
        """The trainings of the whole build."""
        return make_plan(self.options)

    @property
    def rows_path(self) -> Path:
        """The file of finished trainings."""
        return self.run.path / ROWS

    def rows(self) -> dict[Unit, Row]:
        """The finished trainings.

        Raises:
            RunError: the file is damaged.
            BenchmarkError: a row is none of this build's trainings.
        """
        found, expected = read_rows(self.rows_path), set(self.plan.units())
        for unit, row in found.items():
            if unit not in expected or row.arch != self.plan.arch(unit.code):
                raise BenchmarkError(
                    f"{shown(self.rows_path)}: cell {unit.code} with seed {unit.seed} is no "
                    "training of this build"
                )
        return found

    def missing(self, part: Slice = WHOLE) -> list[Unit]:
        """The trainings of a slice that are not finished, in the order of training."""
        done = self.rows()
        return [unit for unit in self.plan.units(part) if unit not in done]

    def add(self, rows: Iterable[tuple[Unit, Row]]) -> None:
        """Keep finished trainings; RunError where the disk takes no more."""
        if not self.rows_path.exists() and packed_rows(self.rows_path).exists():
            replace_file(self.rows_path, rows_content(self.rows_path))
        for unit, row in rows:
            append_row(self.rows_path, unit.code, row)
