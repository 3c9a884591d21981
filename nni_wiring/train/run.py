"""run_train: one training of a fixed cell, from a config into a run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from nni_wiring.files.tensors import tensors_of
from nni_wiring.monitor.event_file import EventWriter
from nni_wiring.records import DerivedCell, EpochRecord
from nni_wiring.runs.stamp import Stamp
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.checkpoint import random_states, restore_random_states
from nni_wiring.search.kept import STAMP, keep_checkpoint, parts_of, resume_point
from nni_wiring.search.loggers import second_logger, tell
from nni_wiring.search.precision import set_precision
from nni_wiring.search.process import cpu_threads, quiet, threads_of
from nni_wiring.search.whole_run import whole_run
from nni_wiring.train.config import TrainConfig
from nni_wiring.train.loop import EpochFigures, make_optimizer, train_epoch
from nni_wiring.train.network import FixedNetwork
from nni_wiring.train.parts import TrainingParts, assemble_training, dataset_of, describe_cell
from nni_wiring.train.result import TrainResult, accuracies_at, held_out_accuracy
from search_spaces.nni_api import Logger

#: What ``run.json`` says of the kind of such a run.
KIND = "train"

OnEpoch = Callable[[EpochRecord], None]


def is_training(folder: RunFolder) -> bool:
    """True for a run that trained a fixed cell."""
    return folder.info.get("kind") == KIND


def run_train(
    config: TrainConfig,
    folder: RunFolder,
    *,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> TrainResult:
    """Train, writing the run folder as it goes; return what ``result.json`` holds.

    Args:
        config: its arch, data and protocol.
        folder: of the run.
        resume: go on after the last whole epoch of ``folder``; the result is that of an
            uninterrupted run.
        on_epoch: called with every epoch's record.

    Raises:
        OwnedError: another process writes the folder, which stays as it is.
        WiringError: one line; the folder's status then is "failed" ("interrupted" on Ctrl-C).
    """

    def work() -> TrainResult:
        folder.note(kind=KIND)
        with quiet(), cpu_threads(threads_of(config.training.threads, folder)):
            done = resume_point(folder, config.flat(), training_epochs) if resume else 0
            # before anything is seeded: what another package draws moves no generator of the run
            with second_logger(config.training.logger, folder, config.flat()) as others:
                return _train(config, folder, resume, done, others, on_epoch)

    return whole_run(folder, work, resume=resume)


def _train(
    config: TrainConfig,
    folder: RunFolder,
    resume: bool,
    done: int,
    others: Sequence[Logger],
    on_epoch: OnEpoch | None,
) -> TrainResult:
    parts = assemble_training(config)
    dataset = dataset_of(config, parts.data.truth_dataset)
    folder.note(truth_dataset=dataset)
    set_precision(config.training.precision, parts.device)
    cells = describe_cell(config)
    optimizer = make_optimizer(parts.network, config)
    if resume:
        folder.set_status("running")
    if done:
        _restore(folder.checkpoint, parts.network, optimizer)
    for record in folder.records() if others else []:
        tell(others, _scalars(record), record.epoch)
    with closing(_writer(folder, config.flat(), done)) as writer, repeatable(parts.device):
        for epoch in range(done, config.theta.epochs):
            record = _record(epoch, train_epoch(parts, optimizer, epoch), cells, config)
            folder.append_epoch(record)
            _write_scalars(writer, record)
            tell(others, _scalars(record), epoch)
            _save(folder, config, parts.network, optimizer, epoch + 1)
            if on_epoch is not None:
                on_epoch(record)
    return _result(parts, folder, cells, dataset)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On CUDA, kernels whose sums have one order, where torch has such; as searches train."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


def _record(
    epoch: int, found: EpochFigures, cells: Mapping[str, DerivedCell], config: TrainConfig
) -> EpochRecord:
    only = next(iter(cells.values())) if len(cells) == 1 else None
    return EpochRecord(
        epoch=epoch,
        seconds=found.seconds,
        steps=found.steps,
        gradient_norm={"weights": found.gradient_norm},
        loss=found.loss,
        accuracy=found.accuracy,
        cells=cells,
        arch=config.training.arch,
        topology={} if only is None else only.topology,
    )


def _result(
    parts: TrainingParts, folder: RunFolder, cells: Mapping[str, DerivedCell], dataset: str
) -> TrainResult:
    records, config = folder.records(), parts.config
    only = next(iter(cells.values())) if len(cells) == 1 else None
    accuracy = dict(records[-1].accuracy)
    return TrainResult(
        run_id=folder.run_id,
        truth_dataset=dataset,
        arch=config.training.arch,
        topology={} if only is None else only.topology,
        truth=None if only is None else only.truth,
        cells=cells,
        config=config.flat(),
        default=held_out_accuracy(accuracy),
        data_note=parts.data.note or None,
        accuracy=accuracy,
        accuracy_at=accuracies_at(records),
    )


def _save(
    folder: RunFolder,
    config: TrainConfig,
    network: FixedNetwork,
    optimizer: torch.optim.Optimizer,
    epochs: int,
) -> None:
    """Everything that a training needs to go on bit for bit, in one step."""
    state = {
        "kind": KIND,
        "epochs": epochs,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": random_states(),
    }
    state[STAMP] = Stamp.of(folder, config.flat(), epochs, parts_of(state)).to_plain()
    keep_checkpoint(folder, lambda file: torch.save(state, file))


def _restore(path: Path, network: FixedNetwork, optimizer: torch.optim.Optimizer) -> None:
    """Put a training back as its checkpoint has it."""
    with tensors_of(path) as state:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        restore_random_states(state["random"])


def training_epochs(content: Mapping[str, Any]) -> int:
    """The number of epochs in a training's checkpoint; KeyError, ValueError where it is none."""
    for part in ("network", "optimizer", "random"):
        if part not in content:
            raise KeyError(part)
    return int(content["epochs"])


def _writer(folder: RunFolder, options: Mapping[str, Any], done: int) -> EventWriter:
    writer = EventWriter(folder.tensorboard, done or None)
    rows = [f"| {name} | {value} |" for name, value in options.items()]
    writer.add_text("config", "\n".join(["| option | value |", "|---|---|", *rows]), 0)
    return writer


def _write_scalars(writer: EventWriter, record: EpochRecord) -> None:
    for tag, value in _scalars(record).items():
        writer.add_scalar(tag, value, record.epoch)
    writer.flush()


def _scalars(record: EpochRecord) -> dict[str, float]:
    """An epoch's numbers by TensorBoard's tag."""
    return {
        f"{name}/{part}": value
        for name in ("loss", "accuracy", "gradient_norm")
        for part, value in getattr(record, name).items()
    }
