"""The trainings of a build, group by group, in one process: the seam that trainers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nni_wiring.building.rows import Row
from nni_wiring.errors import BenchmarkError
from nni_wiring.search.process import cpu_threads, quiet
from nni_wiring.train.batched import CellRow, Trained, Way, by_kernels, by_torch, train_cell
from nni_wiring.train.compact.program import NotCompactError
from nni_wiring.train.config import make_train_config
from nni_wiring.train.parts import TrainingParts, images_of
from nni_wiring.train.result import HELD_OUT

#: A trainer: (options of `train` without arch and seed, cells, seed) -> a row per cell, in order.
TrainCells = Callable[[Mapping[str, Any], Sequence[str], int], list[Row]]


def train_cells(options: Mapping[str, Any], archs: Sequence[str], seed: int) -> list[Row]:
    """Train cells one after the other, each bit for bit as `train` does alone.

    Args:
        options: of ``BuildOptions.training``.
        archs: the cells.
        seed: of all of them.

    Raises:
        WiringError: one line; the device or the data are not there.
    """
    return _rows(options, archs, seed, by_torch)


def train_on_kernels(options: Mapping[str, Any], archs: Sequence[str], seed: int) -> list[Row]:
    """The same on the kernels for small cells, several times faster and rounded otherwise.

    Raises:
        BenchmarkError: one line; the kernels do not train this, or cannot be compiled here.
    """
    return _rows(options, archs, seed, _kernels_alone)


def trainer_of(kernels: bool) -> TrainCells:
    """The trainer that the option ``kernels`` of a build names."""
    return train_on_kernels if kernels else train_cells


def _rows(options: Mapping[str, Any], archs: Sequence[str], seed: int, way: Way) -> list[Row]:
    rows = []
    with quiet(), cpu_threads(int(options.get("threads") or 1)):
        for arch in archs:
            config = make_train_config({**options, "arch": arch, "seed": seed})
            rows.append(_row(train_cell(config, way=way, data=images_of(config))))
    return rows


def _row(found: CellRow) -> Row:
    accuracy = {
        epochs: {part: value for part, value in parts.items() if part in HELD_OUT}
        for epochs, parts in found.accuracy_at.items()
    }
    return Row(found.arch, found.seed, accuracy, found.diverged, found.seconds, found.images)


def _kernels_alone(parts: TrainingParts) -> Trained:
    try:
        return by_kernels(parts)
    except NotCompactError as error:
        raise BenchmarkError(f"kernels=true: {error}; kernels=false trains by torch") from None
