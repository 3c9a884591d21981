"""The .pth of the nas-bench-201 package (v1.0, v1.1), in torch's zip or legacy container.

Torch is not needed: the file is one pickle of plain data, read record by record.
"""

from __future__ import annotations

import re
from pathlib import Path

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import shown
from nni_wiring.truth.sources.containers import Progress, mapped, saved_object
from nni_wiring.truth.sources.official_records import RecordCollector
from nni_wiring.truth.sources.piecewise import read_records

KIND = "official"


def read(path: Path, collector: RecordCollector, progress: Progress) -> None:
    """Feed every record of the file to ``collector``.

    Raises:
        BenchmarkError, UnsafePickleError: one line naming the file and what is wrong.
    """
    with mapped(path) as content:
        table = read_records(path, content, saved_object(path, content), collector.add, progress)
    for key in ("meta_archs", "arch2infos", "evaluated_indexes"):
        if key not in table:
            raise BenchmarkError(f"{shown(path)}: not a NAS-Bench-201 table (no {key!r})")
    collector.check_order(table["meta_archs"])


def version(path: Path) -> str:
    """NAS-Bench-201 v1.0 or v1.1 by the official file name, else "NAS-Bench-201"."""
    match = re.search(r"v1_([01])", path.name)
    return f"NAS-Bench-201 v1.{match[1]}" if match else "NAS-Bench-201"
