"""The cells of a benchmark in official order: found by index, text, operations or Wiring."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.benchmark import Benchmark
from search_spaces.cell_graph import Wiring
from search_spaces.errors import SpaceError

#: A cell: its text, its official index, its operation indices, or a Wiring.
Arch = str | int | Sequence[int] | NDArray[np.integer] | Wiring


class CellOrder:
    """A benchmark's cells by official index.

    Args:
        benchmark: the benchmark.
        codes: (cells,) the code of every official index; None to ask the benchmark.
    """

    def __init__(self, benchmark: Benchmark, codes: NDArray[np.int64] | None = None) -> None:
        self.benchmark = benchmark
        self.codes = benchmark.order() if codes is None else codes

    @cached_property
    def index_of_code(self) -> NDArray[np.int64]:
        """(cells,) the official index of every code."""
        return np.argsort(self.codes)

    @cached_property
    def archs(self) -> list[str]:
        """The text of every cell, by official index."""
        archs = self.benchmark.codec.archs
        return [archs[code] for code in self.codes.tolist()]

    @cached_property
    def indices(self) -> dict[str, int]:
        """The official index of every cell's text."""
        return {arch: index for index, arch in enumerate(self.archs)}

    def find(self, arch: Arch) -> int:
        """Official index of a cell's text, an index (checked), operation indices, or a Wiring.

        Raises:
            SpaceError: the text, the operations or the graph are not those of a cell.
            BenchmarkError: the index does not exist.
        """
        codec = self.benchmark.codec
        if isinstance(arch, Wiring):
            if arch.graph != codec.graph:
                raise SpaceError(f"wiring: its graph is not that of {self.benchmark.title}")
            arch = codec.indices(arch.operations)
        if isinstance(arch, str) and not arch.strip().isdecimal():
            code = codec.code_of_arch.get(arch)
            if code is None:  # another spelling, or not a cell: the parser says what is wrong
                code = codec.code(codec.parse(arch)).item()
            return self.index_of_code[code].item()
        if isinstance(arch, (str, int, np.integer)):
            index = int(arch)
            if not 0 <= index < codec.size:
                last = codec.size - 1
                raise BenchmarkError(f"cell index {index} does not exist; allowed: 0..{last}")
            return index
        return self.index_of_code[codec.code(np.asarray(arch))].item()
