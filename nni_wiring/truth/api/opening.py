"""From what a script hands to an official class to the table that answers in its place."""

from __future__ import annotations

from pathlib import Path

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.catalogue import load_table, table_for, table_names
from nni_wiring.truth.sources.containers import file_hash
from nni_wiring.truth.table import TruthTable


def open_table(source: object) -> TruthTable:
    """The table that stands for an official class's first argument.

    Args:
        source: None for NAS-Bench-201's default table, the name of a table, a TruthTable, or the
            path of an official file or folder that was imported. One that still exists is told by
            its SHA-256, one that is gone by its name.

    Raises:
        BenchmarkError: no table was imported from it, or it is something else.
    """
    if isinstance(source, TruthTable):
        return source
    if source is None:
        table = table_for(NASBENCH201.name)
        assert table is not None  # the bundled one, if no other
        return table
    if not isinstance(source, (str, Path)):
        raise BenchmarkError(
            f"a {type(source).__name__} is not read here; allowed: None, a table's name, the path "
            "of an imported file, a TruthTable"
        )
    return load_table(str(source)) if str(source) in table_names() else _imported_from(Path(source))


def _imported_from(path: Path) -> TruthTable:
    try:
        known = ("sha256", file_hash(path)) if path.exists() else ("path", path.name)
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror})") from error
    found = []
    for name in table_names():
        try:
            found.append(load_table(name))
        except BenchmarkError:  # a damaged table is none of this source
            continue
    found = [table for table in found if table.info.get(known[0]) == known[1]]
    if not found:
        raise BenchmarkError(
            f"{path}: no table was imported from it; run `benchmark import {path}` once, or give "
            f"the name of a table: {', '.join(table_names())}"
        )
    if len({table.info["sha256"] for table in found}) > 1:
        names = ", ".join(table.name for table in found)
        raise BenchmarkError(f"{path}: several tables came from files of this name: {names}")
    return found[0]
