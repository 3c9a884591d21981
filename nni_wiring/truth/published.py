"""Published accuracies on NAS-Bench-201, the benchmark that has such rows."""

from __future__ import annotations

from nni_wiring.truth.benchmark import PublishedRow
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201


def published_rows(dataset: str | None = None) -> list[PublishedRow]:
    """The published rows of one data set, or all of them; BenchmarkError for an unknown name."""
    return NASBENCH201.published_rows(dataset)
