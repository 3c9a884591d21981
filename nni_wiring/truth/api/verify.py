"""`benchmark verify`: the import of an official file against the official package's own answers."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api.nasbench201 import NASBench201API
from nni_wiring.truth.archive import cache_dir
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.curves import CurveWriter
from nni_wiring.truth.importer import detect
from nni_wiring.truth.metrics import check_data
from nni_wiring.truth.order import CellOrder
from nni_wiring.truth.sources import official
from nni_wiring.truth.sources.containers import Progress, mapped, saved_object
from nni_wiring.truth.sources.official_records import RecordCollector
from nni_wiring.truth.sources.piecewise import Record, read_records
from nni_wiring.truth.table import TruthTable

_NAMES = {12: "less", 200: "full"}
_TOLERANCE = 1e-6  # float32
_DRAWN_EPOCHS = 4


@dataclass
class VerifyReport:
    """The outcome of a comparison.

    Attributes:
        path: the official file.
        cells: the texts of the sampled cells.
        compared: number of figures.
        differences: one line for each figure that is not the same.
        sizes: one line for each stored size that is not the computed one; known of 204 cells, and
            no difference.
    """

    path: str
    cells: list[str]
    compared: int = 0
    differences: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)


class _Sample:
    """Keeps the records of the cells that come first in a random order of all cells."""

    def __init__(self, cells: int, seed: int) -> None:
        self._cells = cells
        self._order = CellOrder(NASBENCH201).indices
        ranks = list(range(len(self._order)))
        random.Random(seed).shuffle(ranks)
        self._ranks = ranks
        self.records: dict[int, dict[int, Record]] = {}

    def add(self, record: Record) -> None:
        """Take a record, and drop the cell that comes last if there are too many."""
        arch = record["arch_str"]
        if not isinstance(arch, str) or arch not in self._order:
            raise BenchmarkError(f"{arch!r:.80} is not a NAS-Bench-201 cell")
        index = self._order[arch]
        results = record["all_results"]
        first = next(iter(results.values()), None) if isinstance(results, Mapping) else None
        length = first.get("epochs") if isinstance(first, Mapping) else None
        if length not in _NAMES:
            raise BenchmarkError(f"cell {index}: not a training of 12 or 200 epochs")
        self.records.setdefault(index, {})[int(length)] = dict(record)
        if len(self.records) > self._cells:
            del self.records[max(self.records, key=self._ranks.__getitem__)]


def verify(path: Path, cells: int, seed: int, progress: Progress) -> VerifyReport:
    """Compare what an import makes of some cells with what the official class answers of them.

    The official class gets a dictionary that the restricted reader has read, never the path, which
    it would unpickle without restriction.

    Args:
        path: the .pth of nas-bench-201.
        cells: how many cells to sample.
        seed: of the sample.
        progress: called with bytes read and in all.

    Raises:
        BenchmarkError, UnsafePickleError: one line naming the file and what is wrong with it.
    """
    if detect(path) != official.KIND:
        raise BenchmarkError(f"{path}: not a .pth of nas-bench-201, the one kind that is verified")
    sample = _Sample(cells, seed)
    with mapped(path) as content:
        span = saved_object(path, content)
        try:
            whole = read_records(path, content, span, sample.add, progress)
        except BenchmarkError as error:
            line = str(error)
            raise BenchmarkError(line if str(path) in line else f"{path}: {line}") from error
    if not sample.records:
        raise BenchmarkError(f"{path}: it holds no cells")
    # not the folder of temporary files, which may be full
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=cache_dir()) as folder:
        table = _table(path, sample, whole.get("meta_archs"), Path(folder) / "curves")
        theirs = _official(path, sample, whole["meta_archs"])
        report = VerifyReport(str(path), [table.arch(index) for index in sorted(sample.records)])
        _compare(NASBench201API(table), theirs, report, random.Random(seed))
    return report


def _table(path: Path, sample: _Sample, archs: object, curves: Path) -> TruthTable:
    with open(curves, "w+b") as file:
        writer = CurveWriter(file)
        collector = RecordCollector(CellOrder(NASBENCH201), writer, str(path))
        for records in sample.records.values():
            for length, record in records.items():
                collector.add(record, length)
        collector.check_order(archs)
        writer.finish()
    data = collector.table({"curves": curves.name, "path": path.name})
    check_data(data, str(path))
    return TruthTable("verified", data, curves)


def _official(path: Path, sample: _Sample, archs: object) -> Any:  # noqa: ANN401
    from nas_201_api import NASBench201API as Official  # imports torch

    infos = {}
    for index, records in sample.records.items():
        if set(records) != set(_NAMES):
            raise BenchmarkError(f"{path}: cell {index} has not both trainings, 12 and 200 epochs")
        own = records[12]["arch_index"]
        infos[own] = {_NAMES[length]: record for length, record in records.items()}
    content = {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": set(infos)}
    try:
        return Official(content, verbose=False)
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())
        raise BenchmarkError(f"{path}: the official class refuses it ({line:.200})") from error


def _compare(
    ours: NASBench201API,
    theirs: Any,  # noqa: ANN401
    report: VerifyReport,
    draw: random.Random,
) -> None:
    for arch in report.cells:
        index, own = ours.query_index_by_arch(arch), theirs.query_index_by_arch(arch)
        for hp, info in theirs.arch2infos_dict[own].items():
            for run in info.get_dataset_names():
                where = f"cell {index}, {run}, {hp} epochs"
                cost = ours.get_cost_info(index, run, hp)
                _note(report, where, cost, theirs.get_cost_info(own, run, hp))
                for seed, epoch in _points(info.get_dataset_seeds(run), int(hp), draw):
                    question = (run, epoch, hp, seed)
                    mine = ours.get_more_info(index, *question)
                    expected = theirs.get_more_info(own, *question)
                    _note(report, f"{where}, seed {seed}, epoch {epoch}", mine, expected)


def _points(seeds: list[int], length: int, draw: random.Random) -> Iterator[tuple[Any, int]]:
    """The mean and every seed, after the first, the last and some drawn epochs."""
    epochs = {0, length - 1, *draw.sample(range(length), _DRAWN_EPOCHS)}
    for seed in (False, *seeds):
        for epoch in sorted(epochs):
            yield seed, epoch


def _note(
    report: VerifyReport, where: str, mine: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Count the figures of both answers, and write down those that are not the same."""
    for key in sorted({*mine, *expected}):
        one, other = mine.get(key), expected.get(key)
        report.compared += 1
        if one is None or other is None:
            same = one is other
        else:
            same = math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        if not same:
            line = f"{where}: {key} is {one}, the official answer is {other}"
            (report.sizes if key in ("params", "flops") else report.differences).append(line)
