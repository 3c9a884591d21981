"""The operations on tables that the crash points are those of: an import, and a cache."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from nni_wiring.truth import load_table
from nni_wiring.truth.catalogue import forget
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.sources import bundled

#: Values of the two sources that are imported one after the other.
OLD, NEW = 20.0, 40.0


def _source(path: Path, value: float) -> Path:
    """An official file of one cell, with the curves of one training."""
    curve = {epoch: value + epoch for epoch in range(12)}
    evaluated = {f"x-valid@{epoch}": number for epoch, number in curve.items()}
    training = {f"train_{name}": curve for name in ("acc1es", "losses", "times")}
    training |= {f"eval_{name}": evaluated for name in ("acc1es", "losses", "times")}
    arch = load_table("bundled").arch(0)
    results = {("cifar10-valid", 777): training | {"epochs": 12, "latency": [0.01]}}
    record = {"arch_index": 0, "arch_str": arch, "all_results": results}
    content = {
        "meta_archs": [arch],
        "arch2infos": {0: {"less": record, "full": {}}},
        "evaluated_indexes": {0},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(content, 2))
    path.write_bytes(buffer.getvalue())
    return path


@contextmanager
def tables_in(folder: Path, name: str = "cache") -> Iterator[None]:
    """A cache folder of the operation's own."""
    with mock.patch.dict(os.environ, {"NNI_WIRING_CACHE": str(folder / name)}):
        forget()
        yield
    forget()


def _import(folder: Path, source: str) -> None:
    bundle = load_table("bundled")
    with tables_in(folder), mock.patch.object(bundled, "load", lambda: bundle.data):
        import_table(folder / source, "mine", partial=True)


def import_old(folder: Path) -> None:
    """Two sources, of which the first is imported."""
    _source(folder / "old.pth", OLD)
    _source(folder / "new.pth", NEW)
    _import(folder, "old.pth")


def import_new(folder: Path) -> None:
    """The second in the place of the first."""
    _import(folder, "new.pth")


def table_is_old_or_new(folder: Path) -> None:
    """A kill leaves a whole table with its own curves."""
    with tables_in(folder):
        table = load_table("mine")
        start = float(table.curve(0, "cifar10", "valid", 12)[0])
        assert start in (OLD, NEW)
        assert table.values("cifar10", "valid", 12)[0] == start + 11


def table_state(folder: Path) -> dict[str, Any]:
    """The members of all table files, and the bytes of the others.

    Temporary files of what nobody owns are left out: the bundled table's cache, the default's name.
    """
    state: dict[str, Any] = {}
    for path in sorted((folder / "cache").rglob("*")):
        if path.is_file() and not path.name.startswith((".bundled.npz.", ".default-table.")):
            state[path.name] = table_content(path)
    return state


def table_content(path: Path) -> Any:
    """A file's bytes, or those of its members: an archive says when it was written."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def cache_bundled(folder: Path) -> None:
    """The cache file of the table that is always there."""
    whole = load_table("bundled").data
    with (
        tables_in(folder),
        mock.patch.object(bundled, "read_source", lambda source: whole),
    ):
        bundled.load()
