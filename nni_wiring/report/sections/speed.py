"""Training speed of the derived cell among cells that end about where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nni_wiring.records import EpochRecord
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.cells import benchmark_wiring
from nni_wiring.report.sections.base import JSON, Finding, Section
from nni_wiring.report.words import percent, plain
from nni_wiring.truth import Benchmark
from nni_wiring.truth.speed import Equals, SelectedSpeed, SpeedTable


@dataclass(frozen=True)
class Speed(Section):
    """Percentiles of the cell after the shortest and after the whole tabulated training.

    Attributes:
        metric: the accuracy in words.
        short, full: the lengths of the trainings in epochs.
        table: its name.
        cell: of the cell; None where the table lacks the short training.
        equals: the cells that end about where it ends.
        policy: of p(alpha) in the last epoch; None where it is not recorded.
    """

    name: ClassVar[str] = "speed"
    title: ClassVar[str] = ""
    empty: ClassVar[JSON] = {"speed": None}

    metric: str
    short: int
    full: int
    table: str
    cell: SelectedSpeed | None = None
    equals: Equals | None = None
    policy: SelectedSpeed | None = None

    @classmethod
    def of(cls, run: RunAnalysis) -> Speed | None:
        """The speed of a run's cell; None without a table of it, or with one length of training."""
        benchmark, table = run.benchmark, run.table
        wiring = benchmark_wiring(run.arch, benchmark)
        lengths = benchmark.dataset(run.dataset).protocol.epochs
        if wiring is None or table is None or len(lengths) < 2:
            return None
        short, full = min(lengths), benchmark.full_epochs(run.dataset)
        metric = benchmark.column_title(run.dataset, run.split)
        missing = cls(metric, short, full, table.name)
        if not (table.has(run.dataset, run.split, short) and table.has(run.dataset, run.split)):
            return missing
        speeds = SpeedTable(table, run.dataset, short, run.split)
        place = tuple(benchmark.operations.index(name) for name in wiring.operations)
        cell, equals = (
            speeds.of(np.eye(len(benchmark.operations))[list(place)]),
            speeds.equals(place),
        )
        if not np.isfinite([*cell, equals.ahead]).all():
            return missing
        p = _probabilities(run.records, benchmark)
        policy = None if p is None else speeds.of(p)
        return cls(metric, short, full, table.name, cell, equals, policy)

    def findings(self) -> list[Finding]:
        """The speed in a sentence, or that it is missing."""
        after = f"{self.metric} after {self.short} epochs"
        if self.cell is None or self.equals is None:
            text = f"missing: table {plain(self.table)} has no {after}."
            return [Finding("Speed", text)]
        cell, equals = self.cell, self.equals
        tilts = f"{cell.tilt:+.1f} percentiles for the cell"
        if self.policy is not None:
            tilts += f", {self.policy.tilt:+.1f} for p(alpha)"
        text = (
            f"{after}: percentile {cell.early:.1f}, after {self.full}: {cell.late:.1f}. Of the "
            f"{equals.cells:,} other cells that end within one percentile of it, it leads "
            f"{percent(equals.ahead)} after {self.short} epochs. Tilt to fast cells, beyond the "
            f"same operations in any order: {tilts} (above 0: fast for what it ends at)."
        )
        return [Finding("Speed", text)]

    def json(self) -> JSON:
        """{"speed": {"short", "full", "cell": {"early", "late", ...}, "p(alpha)", "equals"}}."""
        said = {name: _spelt(one) for name, one in (("cell", self.cell), ("p(alpha)", self.policy))}
        equals = None if self.equals is None else self.equals._asdict()
        return {"speed": {"short": self.short, "full": self.full, **said, "equals": equals}}


def _spelt(speed: SelectedSpeed | None) -> JSON | None:
    return None if speed is None else speed._asdict() | {"tilt": speed.tilt}


def _probabilities(records: tuple[EpochRecord, ...], benchmark: Benchmark) -> np.ndarray | None:
    """p(alpha) of the last epoch, (edges, operations); None where it is not one of the cell's."""
    z = records[-1].z if records else {}
    rows = [z.get(edge) for edge in benchmark.graph.edge_names]
    if any(not row or not set(row) <= set(benchmark.operations) for row in rows):
        return None
    p = np.array([[(row or {}).get(name) or 0.0 for name in benchmark.operations] for row in rows])
    total = p.sum(axis=1, keepdims=True)
    return p / total if (p >= 0).all() and (total > 0).all() else None
