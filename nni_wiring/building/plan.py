"""The plan of a build: one training a class of equal cells and seed, and the map back to cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.building.cells import codec_of, space_cells
from nni_wiring.building.options import BuildOptions
from nni_wiring.errors import BenchmarkError
from search_spaces import cell_codes
from search_spaces.cell_codec import CellCodec
from search_spaces.uniqueness import exact_class


class Unit(NamedTuple):
    """One training: a cell's code and a seed."""

    code: int
    seed: int


class Slice(NamedTuple):
    """Part ``number`` (from 1) of ``parts`` of a build."""

    number: int
    parts: int

    @classmethod
    def parse(cls, text: object) -> Slice:
        """Read "I/N"; BenchmarkError for anything else."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", str(text).strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise BenchmarkError(f"slice {text!r:.40}: expected I/N with I from 1 to N, as 2/5")
        return cls(int(found[1]), int(found[2]))


WHOLE = Slice(1, 1)


@dataclass(frozen=True)
class Plan:
    """The cells of a build and the trainings that stand for them.

    Attributes:
        codec: spells the cells.
        codes: (cells,) of every cell asked for, rising.
        trained: (cells,) the code of the cell that is trained in the place of each: the first of
            those asked for that computes the same.
        seeds: each trained cell is trained with each.
    """

    codec: CellCodec
    codes: NDArray[np.int64]
    trained: NDArray[np.int64]
    seeds: tuple[int, ...]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The codes of the cells that are trained, rising."""
        return np.unique(self.trained)

    def units(self, part: Slice = WHOLE) -> list[Unit]:
        """The trainings of a slice, seed by seed; slices share none, and all together are all."""
        own = self.classes[part.number - 1 :: part.parts].tolist()
        return [Unit(code, seed) for seed in self.seeds for code in own]

    def arch(self, code: int) -> str:
        """The text of a cell."""
        return self.codec.spell(self.codec.cells[code].tolist())

    def back(self, values: Mapping[int, float]) -> NDArray[np.float64]:
        """From values of trained cells to those of all cells asked for.

        Args:
            values: by the code of the trained cell; NaN is a value.

        Returns:
            (cells,) in the order of ``codes``.

        Raises:
            BenchmarkError: the map does not cover the cells: a trained cell has no value.
        """
        lacking = sorted(set(self.classes.tolist()) - set(values))
        if lacking:
            raise BenchmarkError(
                f"the class map does not cover the cells: {len(lacking)} of {len(self.classes)} "
                f"classes have no value, first that of {self.arch(lacking[0])}"
            )
        return np.array([values[code] for code in self.trained.tolist()])


def make_plan(options: BuildOptions) -> Plan:
    """The plan of a build; BenchmarkError if the classes do not cover the cells."""
    codec = codec_of(options.space)
    given = space_cells(options.space) if options.cells is None else options.cells
    codes = np.asarray(given, dtype=np.int64)
    return Plan(codec, codes, first_of_class(codes, classes_of(codec, codes)), options.seeds)


def classes_of(codec: CellCodec, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(cells,) a number per cell that equal cells share: the exact classes of NAS-Bench-201's
    cells, of which parts of them are parts; where no rule is known, every cell is its own class.
    """
    whole = cell_codes.NASBENCH201
    if not whole.holds(codec.graph, codec.operations):
        return codes
    cells = np.array(whole.indices(codec.operations))[codec.cells[codes]]
    return exact_class(cells)


def first_of_class(codes: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(cells,) the first code of each cell's class.

    Raises:
        BenchmarkError: there is not one class per cell.
    """
    if classes.shape != codes.shape:
        raise BenchmarkError(
            f"the class map does not cover the space: {len(classes)} classes for {len(codes)} cells"
        )
    _, first, inverse = np.unique(classes, return_index=True, return_inverse=True)
    return codes[first][inverse]
