"""Every metric of the benchmark for one run's cell, the missing ones named."""

from __future__ import annotations

import math
from typing import NamedTuple

from nni_wiring.figures.series import dig, number
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.curves import metric_title
from nni_wiring.truth import DATASETS, SPLITS

_FIGURES = ("accuracy", "rank", "percentile", "regret")


class TruthRow(NamedTuple):
    """One metric of a cell; None where the table lacks it."""

    metric: str
    headline: bool
    figures: dict[str, float | None]


def truth_rows(run: RunAnalysis) -> list[TruthRow]:
    """Every metric of the benchmark for the run's cell, the missing ones with None."""
    return [
        TruthRow(
            metric_title(dataset, split),
            (dataset, split) == (run.dataset, run.split),
            {name: _known(dig(run.truth, name, dataset, split)) for name in _FIGURES},
        )
        for dataset in DATASETS
        for split in SPLITS
    ]


def _known(value: object) -> float | None:
    """A number of a record, None for anything else."""
    found = number(value)
    return None if math.isnan(found) else found
