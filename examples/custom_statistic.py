"""A statistic of your own: how far alpha moved in an epoch. Every search measures it."""

import math
from collections.abc import Mapping
from typing import Any

from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.statistics import STATISTICS, Statistic
from nni_wiring.records import EdgeTable, EpochRecord


@STATISTICS.register
class AlphaMovement(Statistic):
    """Euclidean length of alpha's change since the last epoch's end, per edge; None in the first.

    It lands in ``EpochRecord.statistics["alpha_movement"]``.
    """

    name = "alpha_movement"

    def __init__(self) -> None:
        self.before: EdgeTable = {}

    def read(self, epoch: Epoch) -> dict[str, float] | None:
        """Once an epoch: {edge: length}."""
        before, self.before = self.before, {}
        for reading in epoch.readings.values():
            self.before |= reading.table(reading.alpha)
        if not before:
            return None
        return {e: math.dist(row.values(), before[e].values()) for e, row in self.before.items()}

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """TensorBoard: alpha_movement/<edge>."""
        lengths = record.statistics.get(self.name) or {}
        return {f"{self.name}/{edge}": length for edge, length in lengths.items()}

    def state(self) -> dict[str, Any]:
        """What a resumed search must know."""
        return {"before": self.before}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` gave."""
        self.before = state["before"]
