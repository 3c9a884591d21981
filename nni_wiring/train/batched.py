"""Many cells trained one after the other, in memory: for tables, not for runs.

Cells of few channels train on kernels of our own (``train.compact``), five times faster than by
torch's; stacking them into grouped convolutions gains less (docs/train.md has the numbers), and
cells that are trained alone cannot spoil each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.search.precision import set_precision
from nni_wiring.train.compact.loop import compact_network
from nni_wiring.train.compact.loop import train_epoch as train_compact_epoch
from nni_wiring.train.compact.program import NotCompactError
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.loop import EpochFigures, make_optimizer, train_epoch
from nni_wiring.train.parts import TrainingParts, assemble_training

Epoch = Callable[[int], EpochFigures]


@dataclass(frozen=True)
class CellRow:
    """One training of one cell.

    Attributes:
        arch, seed: which.
        accuracy_at: percent by part ("train", "valid", "test"), by the epochs done, of those that
            evaluated; empty where the training diverged.
        loss_at: likewise, nats.
        error: why it has no accuracies; None where it has.
        compact: whether it was trained on the kernels.
        seconds: CPU seconds of this process.
    """

    arch: str
    seed: int
    accuracy_at: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    loss_at: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    error: str | None = None
    compact: bool = False
    seconds: float = 0.0

    @property
    def accuracy(self) -> Mapping[str, float]:
        """After the last epoch; empty where the training diverged."""
        return self.accuracy_at[max(self.accuracy_at)] if self.accuracy_at else {}


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
        rows.append(train_cell(config, compact=compact))
        if on_row is not None:
            on_row(rows[-1])
    return rows


def train_cell(config: TrainConfig, *, compact: bool = True) -> CellRow:
    """Train one cell; see `train_cells`."""
    started = time.process_time()
    parts = assemble_training(config)
    set_precision(config.training.precision, parts.device)
    epoch, on_kernels = _epochs_of(parts, compact)
    accuracy_at, loss_at, error = {}, {}, None
    try:
        for done in range(1, config.theta.epochs + 1):
            found = epoch(done - 1)
            if config.evaluates_after(done):
                accuracy_at[done], loss_at[done] = found.accuracy, found.loss
    except RunError as problem:
        accuracy_at, loss_at, error = {}, {}, str(problem)
    return CellRow(
        config.training.arch,
        config.training.seed,
        accuracy_at,
        loss_at,
        error,
        on_kernels,
        time.process_time() - started,
    )


def _epochs_of(parts: TrainingParts, compact: bool) -> tuple[Epoch, bool]:
    """The function that trains an epoch, and whether it is the kernels'."""
    try:
        if compact:
            network = compact_network(parts)
            optimizer = make_optimizer(network, parts.config)
            return lambda epoch: train_compact_epoch(parts, network, optimizer, epoch), True
    except NotCompactError:
        pass  # torch trains everything
    alone = make_optimizer(parts.network, parts.config)
    return lambda epoch: train_epoch(parts, alone, epoch), False
