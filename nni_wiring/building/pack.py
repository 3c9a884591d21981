"""A complete build, or whole seeds of one, as one small file that can ship and says its origin."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from nni_wiring.building.finish import lacking, table_data
from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.options import BuildOptions, make_build_options, seeds_of
from nni_wiring.building.rows import rows_content
from nni_wiring.errors import BenchmarkError
from nni_wiring.files.json_files import from_json
from nni_wiring.files.tolerant import dig
from nni_wiring.truth.catalogue import table_path
from nni_wiring.truth.metrics import TableData, check_data
from nni_wiring.truth.packed import save_packed

#: Of a run's settings, those that `benchmark build` takes by an option of their own.
_NAMED = ("space", "data", "seeds", "protocol")


def pack(name: str, folder: Path, to: Path, seeds: str | None = None) -> Path:
    """Write the table of a build to ``to/NAME.npz``.

    Its info says more than a built table's: the command, the versions and the commit of the build,
    and the checksum of its rows.

    Args:
        name: of the table.
        folder: of the build; its rows may be compressed (``rows.jsonl.gz``).
        to: a folder; that of ``truth.archive.SHIPPED`` is where the package finds it.
        seeds: those of the build that the table is to hold, as "1,2"; None for all. The others need
            not be whole.

    Raises:
        BenchmarkError: trainings are missing (one line, with the first cells), or ``to`` cannot be
            written.
        WiringError: the folder holds no build, or a damaged one.
    """
    table_path(name)  # refuses what cannot be a file's name
    build = BuildFolder.open(folder)
    options = build.options if seeds is None else _with_seeds(build.options, seeds_of(seeds))
    plan = replace(build.plan, seeds=options.seeds)
    rows = {unit: row for unit, row in build.rows().items() if unit.seed in options.seeds}
    missing = [unit for unit in plan.units() if unit not in rows]
    if missing:
        raise BenchmarkError(f"{lacking(name, plan, missing)}; only a whole table is packed")
    data = table_data(name, options, plan, rows)
    _tell_origin(data, build, command_of(name, options), options.seeds)
    check_data(data, name)
    # cells outside the plan share a class of their own, which has no values
    trained = np.full(data.benchmark.cells, -1)
    trained[plan.codes] = plan.trained
    path = to / f"{name}.npz"
    try:
        save_packed(path, data, np.unique(trained, return_inverse=True)[1])
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def _with_seeds(options: BuildOptions, seeds: tuple[int, ...]) -> BuildOptions:
    """The build of some seeds alone."""
    others = sorted(set(seeds) - set(options.seeds))
    if others:
        own = ", ".join(map(str, options.seeds))
        raise BenchmarkError(f"seeds: {others[0]} is none of the build's; allowed: {own}")
    return replace(options, seeds=seeds)


def _tell_origin(data: TableData, build: BuildFolder, command: str, seeds: tuple[int, ...]) -> None:
    about = build.run.info
    data.info["command"] = command
    data.info["rows_sha256"] = hashlib.sha256(_lines(build, seeds)).hexdigest()
    data.info.update({key: about[key] for key in ("versions", "git_commit") if about.get(key)})


def _lines(build: BuildFolder, seeds: tuple[int, ...]) -> bytes:
    """The lines of some seeds in the file of rows; of all seeds, the file."""
    content = rows_content(build.rows_path)
    if seeds == build.options.seeds:
        return content
    lines = content.splitlines(keepends=True)
    return b"".join(line for line in lines if dig(from_json(line), "seed") in seeds)


def command_of(name: str, options: BuildOptions) -> str:
    """The command that builds a table, with the settings that are not its protocol's own."""
    given = options.flat()
    named = {key: given[key] for key in _NAMED}
    usual = make_build_options({**named, "data_sha256": given["data_sha256"]}).flat()
    seeds = ",".join(map(str, options.seeds))
    words = [f"--space {given['space']} --data {given['data']} --protocol {given['protocol']}"]
    words.append(f"--name {name} --seeds {seeds}")
    words += ["--cells FILE"] if options.cells is not None else []
    words += [
        f"--set {key}={json.dumps(value, separators=(',', ':'))}"
        for key, value in given.items()
        if key != "cell_list" and usual[key] != value
    ]
    return f"python cli.py benchmark build {' '.join(words)}"
