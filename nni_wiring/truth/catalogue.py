"""The truth tables at hand: their list, the default one, and loading one by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.archive import cache_dir, table_file, table_files, write_atomically
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.built import NAME
from nni_wiring.truth.sources import bundled
from nni_wiring.truth.storage import read_table
from nni_wiring.truth.table import TruthTable
from search_spaces.errors import SpaceError
from search_spaces.names import did_you_mean
from search_spaces.registry import space_entry

ENVIRONMENT = "NNI_WIRING_BENCHMARK"
#: Whose table is meant where nothing else is said.
FIRST = NASBENCH201.name


def table_path(name: str) -> Path:
    """The file of an imported table; BenchmarkError if the name cannot be a file name."""
    if not re.fullmatch(NAME, name):
        raise BenchmarkError(f"table name {name!r}: use letters, digits, '.', '_' and '-'")
    return cache_dir() / "tables" / f"{name}.npz"


def table_names() -> list[str]:
    """ "bundled", the tables that come with this package, and those imported or built."""
    return [bundled.NAME, *table_files()]


def default_name(benchmark: str = FIRST) -> str | None:
    """The table that stands for a benchmark where none is named; None where it has none.

    It is $NNI_WIRING_BENCHMARK where that table has this benchmark's cells, else the one chosen by
    ``set_default``, else the bundled one, else the only one that there is. A benchmark that was
    built has its one table.
    """
    entry = BENCHMARKS.lookup(benchmark)
    if entry.same_cells_as is not None:
        return entry.name
    chosen = os.environ.get(ENVIRONMENT)
    if chosen and _family_of(chosen) == benchmark:
        return chosen
    try:
        written = _default_file(benchmark).read_text().strip()
    except (OSError, UnicodeDecodeError):
        written = ""
    if written in table_names() and _family_of(written) == benchmark:
        return written
    if entry.bundled is not None:
        return entry.bundled
    own = _tables_of(benchmark)
    return own[0] if len(own) == 1 else None


def set_default(name: str) -> None:
    """Make a table the default of the benchmark whose cells it has; BenchmarkError if there is no
    such table.
    """
    path = _default_file(load_table(name).benchmark.family)
    try:
        write_atomically(path, f"{name}\n".encode())
    except OSError as error:
        raise BenchmarkError(f"{cache_dir()}: cannot be written ({error.strerror})") from error


def load_table(name: str | None = None) -> TruthTable:
    """Load a table by name, once a process.

    Args:
        name: "bundled", the name of an imported table, or that of a benchmark for its default
            table (see ``default_name``); None for $NNI_WIRING_BENCHMARK, else NAS-Bench-201's.

    Raises:
        BenchmarkError: there is no such table, or its file is damaged.
    """
    name = name or os.environ.get(ENVIRONMENT) or FIRST
    if name in BENCHMARKS and name not in table_names():
        name = _default_of(name)
    return _load(name, cache_dir())


def table_for(benchmark: str | None, name: str | None = None) -> TruthTable | None:
    """The truth of a search: the one place that decides whose.

    Args:
        benchmark: the benchmark that holds the space's cells (``SpaceEntry.truth_benchmark``); None
            where none does.
        name: the table that the user named; None for the benchmark's default.

    Returns:
        The table; None where no benchmark holds the cells, or where it has no table and none was
        named.

    Raises:
        BenchmarkError: there is no such table, or it is another benchmark's.
    """
    if benchmark is None:
        return None
    if name is None:
        name = default_name(benchmark)
        return None if name is None else load_table(name)
    table = load_table(name)
    own = BENCHMARKS.lookup(benchmark)
    if table.benchmark.family != own.family:
        raise BenchmarkError(
            f"table {name!r} is of {table.benchmark.title}, the searched cells are those of "
            f"{own.title}; allowed: a table of {benchmark} (see `benchmark sources`)"
        )
    return table


def benchmark_for(benchmark: str | None, name: str | None = None) -> Benchmark:
    """The benchmark of ``table_for``'s table; without a table the space's own, else NAS-Bench-201.

    Raises:
        BenchmarkError: the space's benchmark is not known.
    """
    own = BENCHMARKS.lookup(benchmark or FIRST)
    try:
        table = table_for(benchmark, name)
    except BenchmarkError:  # who asks for the table itself is told
        return own
    return own if table is None else table.benchmark


def table_of_run(config: Mapping[str, Any]) -> TruthTable | None:
    """``table_for`` by a run's settings: its space, its constraint, the table that it named.

    None also where the settings do not name a space that is known here.

    Raises:
        BenchmarkError: there is no such table, or it is another benchmark's.
    """
    try:
        benchmark = space_entry(str(config.get("space"))).truth_benchmark(config.get("operations"))
    except (SpaceError, TypeError, ValueError):  # settings of a foreign run
        return None
    name = config.get("benchmark")
    return table_for(benchmark, None if name is None else str(name))


def _default_of(benchmark: str) -> str:
    name = default_name(benchmark)
    if name is None:
        entry = BENCHMARKS.lookup(benchmark)
        own = _tables_of(benchmark)
        if own:
            choice = f"choose one of {', '.join(own)} with `benchmark use NAME`"
            raise BenchmarkError(f"{entry.title} has several tables; {choice}")
        raise BenchmarkError(f"{entry.title} has no table yet; {entry.obtain}")
    return name


def _tables_of(benchmark: str) -> list[str]:
    return [name for name in table_names() if _family_of(name) == benchmark]


def _family_of(table: str) -> str | None:
    """The benchmark whose cells a table has; None if it cannot be loaded."""
    try:
        return _load(table, cache_dir()).benchmark.family
    except BenchmarkError:
        return None


def _default_file(benchmark: str) -> Path:
    """The file that keeps the choice; that of the first benchmark has no name in it."""
    suffix = "" if benchmark == FIRST else f"-{benchmark}"
    return cache_dir() / f"default-table{suffix}"


def _check_known(name: str) -> None:
    if name != bundled.NAME and not (table_path(name).is_file() or table_file(name).is_file()):
        known = ", ".join(table_names())
        raise BenchmarkError(
            f"no table {name!r}; there are: {known} (import one with `benchmark import PATH`)"
            f"{did_you_mean(name, (*table_names(), *BENCHMARKS))}"
        )


@lru_cache(maxsize=8)
def _load(name: str, folder: Path) -> TruthTable:
    _check_known(name)
    if name == bundled.NAME:
        return TruthTable(name, bundled.load())
    path = table_file(name)
    data = read_table(path)
    file = data.info.get("curves")
    # Only a plain name beside the table: its header must not point elsewhere.
    curves = path.parent / Path(file).name if isinstance(file, str) else None
    return TruthTable(name, data, curves)


def forget() -> None:
    """Load tables anew from now on, after an import."""
    _load.cache_clear()
