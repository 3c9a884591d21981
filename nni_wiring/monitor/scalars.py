"""The scalars of an epoch under their TensorBoard tags, all in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

from nni_wiring.monitor.statistics import Statistic
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord


def scalars(record: EpochRecord, statistics: Sequence[Statistic], view: View) -> dict[str, float]:
    """The tags of all statistics for one epoch; missing values are left out."""
    return {
        tag: float(value)
        for statistic in statistics
        for tag, value in statistic.tags(record, view).items()
        if value is not None
    }
