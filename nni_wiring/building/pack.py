"""A complete build as one small file that can ship: the packed table, with how it came about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from nni_wiring.building.finish import lacking, table_data
from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.options import BuildOptions, make_build_options
from nni_wiring.building.rows import rows_content
from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.catalogue import table_path
from nni_wiring.truth.metrics import TableData, check_data
from nni_wiring.truth.packed import save_packed

#: Of a run's settings, those that `benchmark build` takes by an option of their own.
_NAMED = ("space", "data", "seeds", "protocol")


def pack(name: str, folder: Path, to: Path) -> Path:
    """Write the table of a complete build to ``to/NAME.npz``.

    Its info says more than a built table's: the command, the versions and the commit of the build,
    and the checksum of its rows.

    Args:
        name: of the table.
        folder: of the build; its rows may be compressed (``rows.jsonl.gz``).
        to: a folder; that of ``truth.archive.SHIPPED`` is where the package finds it.

    Raises:
        BenchmarkError: trainings are missing (one line, with the first cells), or ``to`` cannot be
            written.
        WiringError: the folder holds no build, or a damaged one.
    """
    table_path(name)  # refuses what cannot be a file's name
    build = BuildFolder.open(folder)
    rows, plan = build.rows(), build.plan
    missing = [unit for unit in plan.units() if unit not in rows]
    if missing:
        raise BenchmarkError(f"{lacking(name, plan, missing)}; only a whole table is packed")
    data = table_data(name, build.options, plan, rows)
    _tell_origin(data, name, build)
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


def _tell_origin(data: TableData, name: str, build: BuildFolder) -> None:
    about = build.run.info
    data.info["command"] = command_of(name, build.options)
    data.info["rows_sha256"] = hashlib.sha256(rows_content(build.rows_path)).hexdigest()
    data.info.update({key: about[key] for key in ("versions", "git_commit") if about.get(key)})


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
