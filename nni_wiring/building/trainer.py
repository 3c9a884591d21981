"""The trainings of a build, group by group, in one process: the seam that trainers share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nni_wiring.building.rows import Row
from nni_wiring.data import ImageData, load_data
from nni_wiring.search.precision import set_precision
from nni_wiring.search.process import cpu_threads, quiet
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.loop import Diverged, make_optimizer, train_epoch
from nni_wiring.train.parts import assemble_training
from nni_wiring.train.result import HELD_OUT
from nni_wiring.train.run import repeatable

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
    rows = []
    with quiet(), cpu_threads(int(options.get("threads") or 1)):
        for arch in archs:
            rows.append(_train(make_train_config({**options, "arch": arch, "seed": seed})))
    return rows


def _train(config: TrainConfig) -> Row:
    images = config.data_settings
    parts = assemble_training(config, _data(images.data, images.data_dir))
    set_precision(config.training.precision, parts.device)
    started = time.process_time()
    optimizer = make_optimizer(parts.network, config)
    accuracy: dict[int, dict[str, float]] = {}
    diverged = None
    with repeatable(parts.device):
        for epoch in range(config.theta.epochs):
            try:
                found = train_epoch(parts, optimizer, epoch)
            except Diverged:
                diverged = epoch + 1
                break
            if not all(map(math.isfinite, found.loss.values())):  # in the epoch's last step
                diverged = epoch + 1
                break
            if config.evaluates_after(epoch + 1):
                accuracy[epoch + 1] = {
                    p: found.accuracy[p] for p in HELD_OUT if p in found.accuracy
                }
    seconds = time.process_time() - started
    seen = len(parts.loaders.train) * parts.loaders.train.batch_size
    return Row(config.training.arch, config.training.seed, accuracy, diverged, seconds, seen)


@lru_cache(maxsize=1)
def _data(name: str, folder: str) -> ImageData:
    """The images, read once a process."""
    return load_data(name, folder)
