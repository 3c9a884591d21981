"""The truth that a study is judged by: the table and the data set that its options name."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from nni_wiring.runs.kept import kept_runs
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.kept_searches import ROWS
from nni_wiring.studies.marginals import as_cube
from nni_wiring.truth import NASBENCH201, TruthTable, table_for


class StudyTruth(NamedTuple):
    """Accuracies on one data set of a table of NAS-Bench-201's cells.

    Attributes:
        table: of all cells.
        dataset: one of its benchmark's.
        split: "valid", or "test" where the table has no validation accuracies.
    """

    table: TruthTable
    dataset: str
    split: str

    @property
    def title(self) -> str:
        """For people: ``CIFAR-10 validation`` and the like."""
        return self.table.benchmark.column_title(self.dataset, self.split)

    @property
    def ends(self) -> tuple[int, int]:
        """Epochs of the shortest training that the benchmark tabulates, and of the one that counts.

        The table may lack the first; asking for its values is then an error that names it.
        """
        protocol = self.table.benchmark.dataset(self.dataset).protocol
        return min(protocol.epochs), protocol.full_epochs

    def has(self, epochs: int) -> bool:
        """True where the table has the accuracies after so many epochs."""
        return self.table.has(self.dataset, self.split, epochs)

    def values(self, epochs: int | None = None) -> np.ndarray:
        """(cells,) accuracies in percent by official index; BenchmarkError if they are missing."""
        return self.table.values(self.dataset, self.split, epochs)

    def percentiles(self, epochs: int | None = None) -> np.ndarray:
        """(cells,) percent of the cells that are not better, by official index."""
        return self.table.standing(self.dataset, self.split, epochs).percentile

    def cube(self, epochs: int | None = None) -> np.ndarray:
        """Accuracies in percent, one axis of 5 operations per edge."""
        return as_cube(self.table, self.values(epochs))


def truth_of(run: StudyRun) -> StudyTruth:
    """By the options ``benchmark`` and ``dataset``; unset: the table that all searches name which
    the study reads, else the default one; the table's first data set.

    Raises:
        BenchmarkError: there is no such table, or its cells are others.
    """
    options = run.config().run
    table = table_for(NASBENCH201.name, options.benchmark or _of_searches(run))
    assert table is not None  # the bundled one is always there
    return in_table(table, options.dataset)


def table_mark(run: StudyRun) -> str:
    """The table's name and a digest of its columns: of what a part is that was asked of it."""
    table = truth_of(run).table
    digest = hashlib.sha256()
    for key in sorted(table.metrics):
        digest.update(str(key).encode() + table.data.metrics[key].mean.tobytes())
    return f"{table.name} {digest.hexdigest()[:12]}"


def _of_searches(run: StudyRun) -> str | None:
    names = {kept.config.get("benchmark") for kept in kept_runs(run.options.get(ROWS) or ())}
    [name] = names if len(names) == 1 else [None]
    return name if isinstance(name, str) else None


def in_table(table: TruthTable, dataset: str | None) -> StudyTruth:
    """A data set of a table at hand, its first for None; BenchmarkError if it is not there."""
    name = table.benchmark.shown_dataset(dataset, "")
    return StudyTruth(table, name, "valid" if table.has(name, "valid") else "test")
