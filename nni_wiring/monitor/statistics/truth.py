"""The benchmark's word on the derived cell, and what it expects under p(alpha)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from matplotlib.figure import Figure

from nni_wiring.figures import Mark, truth_histogram_figure
from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.references import reference_marks
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.records import EpochRecord
from nni_wiring.truth import SPLITS


class DerivedTruth(Statistic):
    """``truth`` and ``truth_expected``; nothing without a table, or where it lacks the cells."""

    name: ClassVar[str] = "truth"
    fields: ClassVar[tuple[str, ...]] = ("truth", "truth_expected")

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """See the base class."""
        truths = [cell.truth for cell in epoch.cells.values()]
        return {
            "truth": truths[0] if len(truths) == 1 else None,
            "truth_expected": epoch.expected.truth,
        }

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """truth/<data set>/<split>, .../regret, .../percentile and truth_expected/..."""
        found: dict[str, float | None] = {}
        dataset, truth, expected = view.dataset, record.truth, record.truth_expected
        if truth is not None:
            valid = truth.at(dataset, "valid")
            for split in SPLITS:
                found[f"truth/{dataset}/{split}"] = truth.at(dataset, split).accuracy
            found[f"truth/{dataset}/regret"] = valid.regret
            found[f"truth/{dataset}/percentile"] = valid.percentile
        if expected is not None:
            for split in SPLITS:
                found[f"truth_expected/{dataset}/{split}"] = expected.at(dataset, split).accuracy
        return found

    def pictures(self, record: EpochRecord, view: View) -> Mapping[str, Figure]:
        """The place of the cell among all cells."""
        value = None if record.truth is None else record.truth.at(view.dataset, "valid").accuracy
        if value is None or view.table is None or not view.table.has(view.dataset, "valid"):
            return {}
        marks = reference_marks(view.table, view.dataset, "valid")
        return {
            "truth/histogram": truth_histogram_figure(
                view.table.values(view.dataset, "valid"),
                [*marks, Mark("this cell", value, "run")],
                f"All {len(view.table):,} cells, {view.dataset} validation",
            )
        }
