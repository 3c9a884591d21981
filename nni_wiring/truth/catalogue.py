"""Which tables there are, which one is the default, and loading one by name."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.sources import bundled
from nni_wiring.truth.storage import cache_dir, read_table, write_atomically
from nni_wiring.truth.table import TruthTable

ENVIRONMENT = "NNI_WIRING_BENCHMARK"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def table_path(name: str) -> Path:
    """The file of an imported table; BenchmarkError if the name cannot be a file name."""
    if not _NAME.fullmatch(name):
        raise BenchmarkError(f"table name {name!r}: use letters, digits, '.', '_' and '-'")
    return cache_dir() / "tables" / f"{name}.npz"


def table_names() -> list[str]:
    """ "bundled" and the imported tables."""
    found = sorted(path.stem for path in (cache_dir() / "tables").glob("*.npz"))
    return [bundled.NAME, *found]


def default_name() -> str:
    """$NNI_WIRING_BENCHMARK, else the table chosen by ``set_default``, else "bundled"."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return chosen
    try:
        written = (cache_dir() / "default-table").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return bundled.NAME
    return written if written in table_names() else bundled.NAME


def set_default(name: str) -> None:
    """Make a table the default of every later command; BenchmarkError if there is no such table."""
    _check_known(name)
    try:
        write_atomically(cache_dir() / "default-table", f"{name}\n".encode())
    except OSError as error:
        raise BenchmarkError(f"{cache_dir()}: cannot be written ({error.strerror})") from error


def load_table(name: str | None = None) -> TruthTable:
    """Load a table by name, once a process.

    Args:
        name: "bundled" or the name of an imported table; None for the default
            (see ``default_name``).

    Raises:
        BenchmarkError: there is no such table, or its file is damaged.
    """
    return _load(name or default_name(), cache_dir())


def _check_known(name: str) -> None:
    if name != bundled.NAME and not table_path(name).is_file():
        known = ", ".join(table_names())
        raise BenchmarkError(
            f"no table {name!r}; there are: {known} (import one with `benchmark import PATH`)"
        )


@lru_cache(maxsize=4)
def _load(name: str, folder: Path) -> TruthTable:
    _check_known(name)
    if name == bundled.NAME:
        return TruthTable(name, bundled.load())
    data = read_table(table_path(name))
    file = data.info.get("curves")
    # Only a plain name beside the table: its header must not point elsewhere.
    curves = table_path(name).parent / Path(file).name if isinstance(file, str) else None
    return TruthTable(name, data, curves)


def forget() -> None:
    """Load tables anew from now on, after an import."""
    _load.cache_clear()
