"""`benchmark import`: any source becomes one compact table file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import reason, shown
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.catalogue import forget, set_default, table_path
from nni_wiring.truth.curves import CurveWriter
from nni_wiring.truth.metrics import TableData, check_data
from nni_wiring.truth.order import CellOrder
from nni_wiring.truth.ownership import owned_table, scratch_folder
from nni_wiring.truth.sources import bundled, delimited, nats, official
from nni_wiring.truth.sources.containers import LEGACY_MAGIC, Progress, file_hash
from nni_wiring.truth.sources.official_records import RecordCollector
from nni_wiring.truth.storage import save_table

_LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
_SCRATCH_CURVES = "curves"
_CURVES = re.compile(r"-[0-9a-f]{12}\.curves")


@dataclass(frozen=True)
class ImportReport:
    """The finds and the output of an import.

    Attributes:
        name, kind, version, sha256: the table and its source.
        benchmark: name of the benchmark.
        cells: how many of its cells it holds.
        metrics: its columns, as data set/split@epochs.
        curves: number of per-epoch curves kept.
        path: the table file.
        default: whether later commands use this table unless told otherwise.
    """

    name: str
    kind: str
    version: str
    sha256: str
    benchmark: str
    cells: int
    metrics: list[str]
    curves: int
    path: str
    default: bool


def detect(path: Path) -> str:
    """ "official", "nats" or "delimited", by content; BenchmarkError if it is none of them."""
    if path.is_dir():
        if (path / nats.META).is_file() or any(path.glob("[0-9]*.pickle.pbz2")):
            return nats.KIND
        raise BenchmarkError(
            f"{shown(path)}: a folder without NATS-Bench cells (NNNNNN.pickle.pbz2)"
        )
    try:
        with regular_file(path) as file:
            start = file.read(64)
    except OSError as error:
        raise BenchmarkError(f"{shown(path)}: cannot be read ({reason(error)})") from error
    if start[:2] == b"PK" or start.startswith(_LEGACY_START):
        return official.KIND
    if start[:3] == b"BZh":
        return nats.KIND if ".pickle" in path.name or path.suffix == ".pbz2" else delimited.KIND
    if start[:2] == b"\x1f\x8b" or start[:4] == b"PAR1" or (start and b"\x00" not in start):
        return delimited.KIND
    raise BenchmarkError(
        f"{shown(path)}: no known table; allowed: a NAS-Bench-201 .pth, a NATS-Bench tss folder or "
        ".pickle.pbz2, .csv, .csv.gz, .parquet"
    )


def import_table(
    path: Path,
    name: str,
    *,
    version: str | None = None,
    columns: delimited.ColumnMap | None = None,
    partial: bool = False,
    make_default: bool = True,
    progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Read a source and write it as table ``name``; nothing is written if anything is wrong.

    All that it writes lies beside the table: the folder of temporary files may be full.

    Args:
        path: the source.
        name: letters, digits, '.', '_' and '-'.
        version: "v11" or "nats" chooses the columns of the merged table (default v11); for
            other sources it replaces the version read off the file name.
        columns: what the columns of another delimited table mean.
        partial: accept a source that lacks cells.
        make_default: let later commands that ask for this benchmark use this table.
        progress: called with done and total.

    Raises:
        OwnedError: another process writes that table now.
        BenchmarkError, UnsafePickleError: one line naming the source and what is wrong.
    """
    target = table_path(name)
    if name == bundled.NAME:
        raise BenchmarkError(f"table name {name!r} is taken by the table that is always there")
    kind = detect(path)
    with owned_table(name), scratch_folder(name) as scratch:
        if kind == delimited.KIND:
            data, kept = delimited.read(path, columns, version), 0
        else:
            data, kept = _read_records(path, kind, version, scratch, progress)
        _check_complete(path, data, partial)
        check_data(data, str(path))
        data.info.update(kind=kind, sha256=file_hash(path), path=path.name)
        _replace(target, data, scratch / _SCRATCH_CURVES if kept else None)
        forget()
        if make_default:
            set_default(name)
    info = {key: data.info[key] for key in ("kind", "version", "sha256", "cells")}
    metrics = [str(key) for key in data.metrics]
    return ImportReport(
        name=name,
        benchmark=data.benchmark.name,
        **info,
        metrics=metrics,
        curves=kept,
        path=str(target),
        default=make_default,
    )


def _read_records(
    path: Path,
    kind: str,
    version: str | None,
    scratch: Path,
    progress: Progress,
) -> tuple[TableData, int]:
    """The table, and the number of curves written to a file in ``scratch``."""
    source = official if kind == official.KIND else nats
    try:
        with open(scratch / _SCRATCH_CURVES, "w+b") as file:
            writer = CurveWriter(file)
            collector = RecordCollector(CellOrder(NASBENCH201), writer, shown(path))
            if kind == official.KIND:
                official.read(path, collector, progress)
            else:
                nats.read(path, collector, progress, scratch)
            if not collector.cells:
                raise BenchmarkError(f"{shown(path)}: it holds no cells")
            kept = writer.finish()
    except OSError as error:
        raise BenchmarkError(f"{shown(path)}: import failed ({error})") from error
    return collector.table({"version": version or source.version(path)}), kept


def _check_complete(path: Path, data: TableData, partial: bool) -> None:
    cells, whole = data.info["cells"], data.benchmark.cells
    if cells != whole and not partial:
        raise BenchmarkError(
            f"{shown(path)}: {cells} of {whole} cells; {whole - cells} are missing "
            "(--partial imports it all the same)"
        )
    for key, metric in data.metrics.items():
        holes = cells - int(np.isfinite(metric.mean).sum())
        if holes and not partial:
            raise BenchmarkError(f"{shown(path)}: {holes} cells have no value of {key}")


def _replace(target: Path, data: TableData, curves: Path | None) -> None:
    """Put curves, then the table that names them, in place; the old curves go last."""
    own = f"{target.stem}-{data.info['sha256'][:12]}.curves"
    try:
        if curves is not None:
            os.replace(curves, target.with_name(own))
            data.info["curves"] = own
        save_table(target, data)
        for old in target.parent.glob(f"{target.stem}-*.curves"):
            if _CURVES.fullmatch(old.name.removeprefix(target.stem)) and old.name != own:
                old.unlink()
    except OSError as error:
        raise BenchmarkError(f"{target}: cannot be written ({error})") from error
