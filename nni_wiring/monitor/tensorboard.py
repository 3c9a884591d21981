"""TensorBoard beside the scalars: the pictures of all statistics, the benchmark table."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from matplotlib.figure import Figure

from nni_wiring.monitor.layout import scalar_layout
from nni_wiring.monitor.references import benchmark_table, reference_marks, write_references
from nni_wiring.monitor.statistics import Statistic, all_statistics
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.truth import TruthTable
from search_spaces.nni_api import TensorBoardLogger

__all__ = [
    "PICTURES",
    "TensorBoardSink",
    "benchmark_table",
    "reference_marks",
    "write_references",
]

#: At most this many epochs of a search get pictures (the last one always does).
PICTURES = 10


@contextmanager
def _young_cycles_removed() -> Iterator[None]:
    """Remove the cycles that the block makes and leaves, without a look at what is older.

    A figure is a web of cycles, of 6 MB for an epoch's pictures. Left to Python it grows old while
    it is drawn, and waits for a collection of all that torch and Lightning have imported, which
    takes place when a quarter as much again is alive.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if enabled:
            gc.enable()


class TensorBoardSink:
    """A monitor's sink: the layout of custom scalars, the pictures of its statistics; at the end
    the benchmark table.

    Args:
        logger: where to.
        table, dataset: the truth, and whose.
        epochs: planned for the search.
        statistics: of the monitor; None for all that are registered.
    """

    def __init__(
        self,
        logger: TensorBoardLogger,
        table: TruthTable | None,
        dataset: str,
        epochs: int,
        statistics: Sequence[Statistic] | None = None,
    ) -> None:
        self._logger, self._view, self._epochs = logger, View(table, dataset), epochs
        self._every = max(1, epochs // PICTURES)
        self._statistics = all_statistics() if statistics is None else statistics
        self._laid_out = False

    def __call__(self, record: EpochRecord) -> None:
        """Write the pictures of an epoch's record; with the first one the layout."""
        if not self._laid_out:
            self._logger.experiment.add_custom_scalars(scalar_layout(record, self._view))
            self._laid_out = True
        last = record.epoch + 1 >= self._epochs
        if record.epoch % self._every and not last:
            return
        with _young_cycles_removed():
            self._draw(record)
        writer = self._logger.experiment
        table, dataset = self._view
        if table is not None and last and record.truth is not None:
            text = benchmark_table(table, dataset, record.truth)
            writer.add_text("benchmark", text, record.epoch)

    def _draw(self, record: EpochRecord) -> None:
        for tag, figure in self._pictures(record).items():
            self._logger.experiment.add_figure(tag, figure, record.epoch)

    def _pictures(self, record: EpochRecord) -> dict[str, Figure]:
        pictures: dict[str, Figure] = {}
        for statistic in self._statistics:
            pictures.update(statistic.pictures(record, self._view))
        return pictures
