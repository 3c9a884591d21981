"""The cells of a benchmark in official order, for readers of files."""

from __future__ import annotations

from functools import cached_property

from nni_wiring.truth.benchmark import Benchmark


class CellOrder:
    """A benchmark's cells by official index: their codes (cells,) and their text."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self.codes = benchmark.order()

    @cached_property
    def archs(self) -> list[str]:
        """The text of every cell, by official index."""
        archs = self.benchmark.codec.archs
        return [archs[code] for code in self.codes.tolist()]

    @cached_property
    def indices(self) -> dict[str, int]:
        """The official index of every cell's text."""
        return {arch: index for index, arch in enumerate(self.archs)}
