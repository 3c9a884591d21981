"""A statistic: the entropy of p(alpha) per edge."""

from collections.abc import Mapping

import numpy as np

from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.statistics import Statistic
from nni_wiring.records import EpochRecord


class AlphaEntropy(Statistic):
    """H(p(alpha)) per edge, nats."""

    name = "tiny_entropy"

    def read(self, epoch: Epoch) -> dict[str, float]:
        found = {}
        for reading in epoch.readings.values():
            p = np.maximum(reading.probabilities, 1e-300)
            found |= dict(zip(reading.keys, (-(p * np.log(p)).sum(axis=1)).tolist(), strict=True))
        return found

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        return {f"{self.name}/{e}": value for e, value in record.statistics[self.name].items()}
