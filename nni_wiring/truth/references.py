"""The accuracies that a cell is read against: best cell, mean random cell, published results."""

from __future__ import annotations

from typing import Literal, NamedTuple

from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.table import TruthTable

ReferenceKind = Literal["published", "optimum", "random"]


class Reference(NamedTuple):
    """One value of a benchmark's column, in its unit; ``std`` is a spread or None."""

    label: str
    value: float
    kind: ReferenceKind
    std: float | None = None
    source: str = "truth table"


def references_of(
    benchmark: Benchmark, table: TruthTable | None, dataset: str, split: str
) -> list[Reference]:
    """Published rows of one column, then the best and the mean random cell where a table has it."""
    marks = [
        Reference(row.method, row.mean, "published", row.std, row.source)
        for row in benchmark.published_rows(dataset)
        if row.split == split
    ]
    if table is not None and table.has(dataset, split):
        best = float(table.optimum(dataset, split).accuracy)
        marks.append(Reference("best cell", best, "optimum"))
        marks.append(Reference("mean random cell", table.mean(dataset, split), "random"))
    return marks


def reference_marks(table: TruthTable, dataset: str, split: str) -> list[Reference]:
    """The references of one column of a table."""
    return references_of(table.benchmark, table, dataset, split)
