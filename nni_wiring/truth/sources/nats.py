"""NATS-Bench's topology table: the folder of fast mode, or the single .pickle.pbz2 file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import brief, shown
from nni_wiring.files.pickles import loads_pickle, scan_pickle
from nni_wiring.truth.sources.containers import Progress, Span, mapped, read_compressed, unpacked
from nni_wiring.truth.sources.official_records import RecordCollector
from nni_wiring.truth.sources.piecewise import ALLOWED, read_records

KIND = "nats"
META = "meta.pickle.pbz2"
_CELL_LIMIT = 16 << 20  # bytes unpacked; a real cell has 0.3 MB, the meta file 1.4 MB
_SINGLE_RATIO = 40  # unpacked size to packed size; real files have about 4


def read(path: Path, collector: RecordCollector, progress: Progress, scratch: Path) -> None:
    """Feed every record of the folder or file to ``collector``.

    scratch: folder for the unpacked copy of a file, of gigabytes for the real one.

    Raises:
        BenchmarkError, UnsafePickleError: one line naming the file and what is wrong.
    """
    if path.is_dir():
        _read_folder(path, collector, progress)
    else:
        with unpacked(path, _SINGLE_RATIO, progress, scratch) as plain, mapped(plain) as content:
            scan = scan_pickle(content, name=str(path), collect=True)
            span = Span(0, scan.end, scan.far)
            table = read_records(plain, content, span, collector.add, progress)
        collector.check_order(table.get("meta_archs"))


def _read_folder(folder: Path, collector: RecordCollector, progress: Progress) -> None:
    files = sorted(p for p in folder.glob("*.pickle.pbz2") if p.name != META)
    if not files:
        raise BenchmarkError(f"{folder}: no NATS-Bench cells (NNNNNN.pickle.pbz2) in it")
    for done, file in enumerate(files, start=1):
        stem = file.name.removesuffix(".pickle.pbz2")
        index = as_index(stem)
        if index is None:
            raise BenchmarkError(f"{shown(file)}: its name is not a cell index")
        record = loads_pickle(read_compressed(file, _CELL_LIMIT), ALLOWED, name=str(file))
        if not isinstance(record, Mapping) or not record:
            raise BenchmarkError(f"{shown(file)}: not a NATS-Bench cell")
        for epochs, results in record.items():
            length = as_index(epochs)
            if length is None or not isinstance(results, Mapping):
                raise BenchmarkError(f"{shown(file)}: {brief(epochs)} is not a training length")
            if results.get("arch_index") != index:
                own = brief(results.get("arch_index"))
                raise BenchmarkError(f"{shown(file)}: it holds cell {own}")
            collector.add(results, length)
        progress(done, len(files))
    meta = folder / META
    if meta.is_file():
        content = loads_pickle(read_compressed(meta, _CELL_LIMIT), ALLOWED, name=str(meta))
        collector.check_order(content.get("meta_archs") if isinstance(content, Mapping) else None)


def as_index(value: object) -> int | None:
    """A whole number of up to six digits, or the text of one; None for anything else."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value):
        return int(value)
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**6
    return value if whole else None  # type: ignore[return-value]


def version(path: Path) -> str:
    """The version in the official name, as in NATS-tss-v1_0-3ffb9, else "NATS-Bench tss"."""
    match = re.search(r"tss-v(\d)_(\d)", path.name)
    return f"NATS-Bench tss v{match[1]}.{match[2]}" if match else "NATS-Bench tss"
