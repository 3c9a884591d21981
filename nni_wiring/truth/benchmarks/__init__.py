"""The benchmarks by name. A new one is one file and one entry here (elsewhere: an entry point)."""

from __future__ import annotations

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.benchmarks.transnas101_micro import TRANSNAS101_MICRO
from search_spaces.names import Registry

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    BenchmarkError,
    (NASBENCH201, TRANSNAS101_MICRO),
    group="nni_wiring.benchmarks",
)
benchmark = BENCHMARKS.lookup
