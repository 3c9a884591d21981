"""The benchmarks by name. A new one is one file and one entry here (elsewhere: an entry point)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.archive import FIRST_FORMAT
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.benchmarks.transnas101_micro import TRANSNAS101_MICRO
from nni_wiring.truth.built import NAME, canonical, described_in_table, parse_description
from search_spaces.names import Registry


class BenchmarkRegistry(Registry[Benchmark]):
    """The benchmarks; one that a user built is found by its name, through its table, and is not
    listed.
    """

    _built: dict[str, Benchmark]

    def __getitem__(self, name: str) -> Benchmark:
        try:
            return super().__getitem__(name)
        except KeyError:
            found = described_in_table(name) if re.fullmatch(NAME, name) else None
            if found is None:
                raise
            return self._of(found)

    def of_table(self, header: Mapping[str, Any]) -> Benchmark:
        """The benchmark of a table file, by its header; BenchmarkError if it is not known."""
        if header.get("built") is not None:
            return self._of(header["built"])
        first = header["format"] == FIRST_FORMAT
        return self.lookup(NASBENCH201.name if first else str(header["benchmark"]))

    def _of(self, description: object) -> Benchmark:
        """The same object for the same description."""
        text = canonical(description)
        known = self.__dict__.setdefault("_built", {})
        if text not in known:
            known[text] = parse_description(description, self._base)
        return known[text]

    def _base(self, name: str) -> Benchmark:
        if name not in list(self):
            raise BenchmarkError(f"its cells are those of {name!r}, which is not known")
        return super().__getitem__(name)


BENCHMARKS = BenchmarkRegistry(
    "benchmark",
    BenchmarkError,
    (NASBENCH201, TRANSNAS101_MICRO),
    group="nni_wiring.benchmarks",
)
benchmark = BENCHMARKS.lookup
