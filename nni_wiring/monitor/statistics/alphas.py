"""alpha and p(alpha) per edge and operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from nni_wiring.errors import RunError
from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.records import EdgeTable, EpochRecord


class Alphas(Statistic):
    """``alpha`` and ``z``, which is p(alpha)."""

    name: ClassVar[str] = "alphas"
    fields: ClassVar[tuple[str, ...]] = ("alpha", "z")

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """Raises RunError for an alpha that is no number."""
        alpha: EdgeTable = {}
        z: EdgeTable = {}
        for kind, reading in epoch.readings.items():
            if not np.isfinite(reading.alpha[reading.group.mask.cpu().numpy()]).all():
                raise RunError(
                    f"the search diverged: after epoch {epoch.number} alpha of {kind!r} is not "
                    "finite; a smaller learning rate or a gradient clip may help"
                )
            alpha |= reading.table(reading.alpha)
            z |= reading.table(reading.probabilities)
        return {"alpha": alpha, "z": z}

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """alpha/<edge>/<operation>, all of them in every epoch."""
        return {
            f"alpha/{edge}/{operation}": value
            for edge, row in record.alpha.items()
            for operation, value in row.items()
        }
