"""Many cells trained one after the other, in memory: for tables, not for runs.

Cells of few channels train on kernels of our own (``train.compact``), five times faster than by
torch's; stacking them into grouped convolutions gains less (docs/train.md has the numbers), and
cells that are trained alone cannot spoil each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nni_wiring.data import ImageData
from nni_wiring.search.precision import set_precision
from nni_wiring.train.compact.loop import compact_network
from nni_wiring.train.compact.loop import train_epoch as train_compact_epoch
from nni_wiring.train.compact.program import NotCompactError
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.loop import Diverged, EpochFigures, make_optimizer, train_epoch
from nni_wiring.train.parts import TrainingParts, assemble_training
from nni_wiring.train.run import repeatable

#: Trains an epoch (from 0); and whether it is the kernels that do.
Trained = tuple[Callable[[int], EpochFigures], bool]
Way = Callable[[TrainingParts], Trained]


@dataclass(frozen=True)
class CellRow:
    """One training of one cell.

    Attributes:
        arch, seed: which.
        accuracy_at: percent by part ("train", "valid", "test"), by the epochs done, of those that
            evaluated before the training diverged, if it did.
        loss_at: likewise, nats.
        error: why it has no accuracies; None where it has.
        diverged: the epoch (from 1) in which the training diverged; None where it did not.
        compact: whether it was trained on the kernels.
        seconds: CPU seconds of this process.
        images: how many the training saw in an epoch.
    """

    arch: str
    seed: int
    accuracy_at: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    loss_at: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    error: str | None = None
    diverged: int | None = None
    compact: bool = False
    seconds: float = 0.0
    images: int = 0

    @property
    def accuracy(self) -> Mapping[str, float]:
        """After the last epoch; empty where the training diverged."""
        return {} if self.error or not self.accuracy_at else self.accuracy_at[max(self.accuracy_at)]


def train_cells(
    options: Mapping[str, Any],
    archs: Iterable[str],
    seeds: Sequence[int],
    *,
    compact: bool = True,
    on_row: Callable[[CellRow], None] | None = None,
) -> list[CellRow]:
    """Train every cell with every seed, as ``train`` does with the same options.

    Args:
        options: flat, as of `make_train_config`, without ``arch`` and ``seed``.
        archs: the cells, as `parse_cell` reads them.
        seeds: of weights, split, order and draws.
        compact: use the kernels where they can train the network; otherwise and elsewhere torch
            does, bit for bit as in a run.
        on_row: called with every row as it is made.

    Returns:
        Rows, cell by cell in the order given, seeds within a cell. One that diverged says so in its
        row; the others are what they are without it.

    Raises:
        WiringError: one line; an option or a cell is wrong, before anything is trained.
    """
    configs = [
        make_train_config({**options, "arch": arch, "seed": seed})
        for arch in archs
        for seed in seeds
    ]
    rows = []
    for config in configs:
        rows.append(train_cell(config, way=fastest if compact else by_torch))
        if on_row is not None:
            on_row(rows[-1])
    return rows


def train_cell(
    config: TrainConfig, *, way: Way | None = None, data: ImageData | None = None
) -> CellRow:
    """Train one cell; see `train_cells`.

    Args:
        config: all settings.
        way: how epochs are trained; None for the kernels where they can, else torch.
        data: the images, where they were read before.
    """
    started = time.process_time()
    parts = assemble_training(config, data)
    set_precision(config.training.precision, parts.device)
    epoch, on_kernels = (way or fastest)(parts)
    accuracy_at, loss_at, error, done = {}, {}, None, 0
    with repeatable(parts.device):
        try:
            for done in range(1, config.theta.epochs + 1):
                found = epoch(done - 1)
                if not all(map(math.isfinite, found.loss.values())):  # in the epoch's last step
                    raise Diverged(f"epoch {done}: the loss is not a finite number")
                if config.evaluates_after(done):
                    accuracy_at[done], loss_at[done] = found.accuracy, found.loss
        except Diverged as problem:
            error = str(problem)
    train = parts.loaders.train
    return CellRow(
        config.training.arch,
        config.training.seed,
        accuracy_at,
        loss_at,
        error,
        None if error is None else done,
        on_kernels,
        time.process_time() - started,
        len(train) * train.batch_size,
    )


def by_torch(parts: TrainingParts) -> Trained:
    """Epochs as a run trains them, bit for bit."""
    optimizer = make_optimizer(parts.network, parts.config)
    return lambda epoch: train_epoch(parts, optimizer, epoch), False


def by_kernels(parts: TrainingParts) -> Trained:
    """Epochs on the kernels; NotCompactError where they do not train this."""
    network = compact_network(parts)
    optimizer = make_optimizer(network, parts.config)
    return lambda epoch: train_compact_epoch(parts, network, optimizer, epoch), True


def fastest(parts: TrainingParts) -> Trained:
    """The kernels where they train this, else torch."""
    try:
        return by_kernels(parts)
    except NotCompactError:
        return by_torch(parts)
