"""One search step at a time, outside of the loop: what the benchmarks share.

A ``Stepper`` is a one-shot search that Lightning has set up for good (one step is run, nothing is
torn down), so that single steps of several searches can alternate in one process on one batch.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nni_wiring.search.assemble import choose_device
from nni_wiring.search.config import RunConfig, make_config
from nni_wiring.search.precision import set_precision
from nni_wiring.search.task import ClassificationTask
from search_spaces.nni_api import (
    HubDarts,
    Lightning,
    NasBench201,
    NniDarts,
    SingleDeviceStrategy,
    Trainer,
    pl,
)
from search_spaces.registry import build_space

Batch = tuple[torch.Tensor, torch.Tensor]


def add_size(
    parser: argparse.ArgumentParser, cells: int = 5, channels: int = 16, batch: int = 64
) -> None:
    """The options of a supernet's size; ``options_of`` reads them."""
    parser.add_argument("--cells", type=int, default=cells, help="cells per stage (N)")
    parser.add_argument(
        "--channels", type=int, default=channels, help="channels of the first stage (C)"
    )
    parser.add_argument("--batch", type=int, default=batch, help="images per batch")


def add_side(parser: argparse.ArgumentParser) -> None:
    """The size of the images."""
    parser.add_argument("--side", type=int, default=32, help="pixels of an image's side")


def add_space(parser: argparse.ArgumentParser) -> None:
    """The space of the supernet."""
    parser.add_argument("--space", choices=["nasbench201", "darts"], default="nasbench201")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and in what to compute."""
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to run")
    precisions = ["float32", "tf32", "bf16"]
    parser.add_argument("--precision", choices=precisions, default="float32", help="of ours")


def add_speed(parser: argparse.ArgumentParser) -> None:
    """How to run the cells."""
    parser.add_argument("--compile", action="store_true", help="compiled cells")
    parser.add_argument("--cuda-graphs", action="store_true", help="gradients as CUDA graphs")


def options_of(given: argparse.Namespace) -> dict[str, Any]:
    """The options of a run that the arguments of ``add_size``, ``add_device`` and ``add_speed``
    stand for, as far as they were added.
    """
    names = ("space", "cells", "channels", "device", "precision", "compile", "cuda_graphs")
    found = {name: getattr(given, name) for name in names if name in given}
    return {**found, "batch_size": given.batch}


class _KeptDevice(SingleDeviceStrategy):
    """Lightning's single device, left as it is when ``fit`` returns."""

    def teardown(self) -> None:
        """Keep model and optimisers where they are."""


class _OneBatch:
    """A loader of one batch (Lightning takes a plain list for a list of loaders)."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __iter__(self) -> Iterator[Batch]:
        yield self._batch

    def __len__(self) -> int:
        return 1


class Stepper:
    """A search that was set up and runs step by step on fixed batches.

    module: the one-shot Lightning module. batch: {"train": .., "val": ..}, images float32
    (batch, 3, size, size) and labels.
    """

    def __init__(self, module: pl.LightningModule, trainer: Any, batch: dict[str, Batch]) -> None:
        self.module, self.trainer, self.batch = module, trainer, batch

    def step(self) -> None:
        """One search step: a weight step and an alpha step."""
        with self.trainer.precision_plugin.train_step_context():  # autocast, as Lightning has it
            self.module.training_step(self.batch, 1)  # NNI logs at steps 0, 10, 20, ...


def random_batches(batch_size: int, size: int, seed: int = 0) -> dict[str, Batch]:
    """Normal noise as images (batch, 3, size, size) with uniform labels of 10 classes."""
    generator = torch.Generator().manual_seed(seed)

    def batch() -> Batch:
        images = torch.randn(batch_size, 3, size, size, generator=generator)
        return images, torch.randint(10, (batch_size,), generator=generator)

    return {"train": batch(), "val": batch()}


def write_images(path: Path, count: int) -> None:
    """An .npz of noise for whole searches: (count, 32, 32, 3), with labels of ten classes."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    np.savez(path, train_x=images, train_y=np.arange(count) % 10)


def our_stepper(batch: dict[str, Batch], **options: Any) -> Stepper:
    """Our search, first-order DARTS unless ``options`` (those of a run) say otherwise."""
    config = make_config(options)
    torch.manual_seed(config.seed)
    space = build_space(
        config.space,
        operations=config.operations,
        num_classes=10,
        channels=config.channels,
        cells=config.cells,
    )
    return _set_up(config, config.build_strategy(), space, batch)


def nni_stepper(batch: dict[str, Batch], **options: Any) -> Stepper:
    """``nni.nas.strategy.DARTS`` on NNI's hub space of DARTS or NAS-Bench-201, with theta trained
    as in ours.
    """
    config = make_config(options)
    torch.manual_seed(config.seed)
    if config.space == "darts":
        space = HubDarts(width=config.channels, num_cells=config.cells, dataset="cifar")
    else:
        space = NasBench201(stem_out_channels=config.channels, num_modules_per_stack=config.cells)
    return _set_up(config, NniDarts(gradient_clip_val=5.0), space, batch)


def _set_up(config: RunConfig, strategy: Any, space: Any, batch: dict[str, Batch]) -> Stepper:
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "nni"):
        logging.getLogger(name).setLevel(logging.ERROR)
    device = choose_device(config.device)
    trainer = Trainer(
        max_steps=1,
        max_epochs=1,
        precision=set_precision(config.precision, device),
        strategy=_KeptDevice(device),
        accelerator="gpu" if device.type == "cuda" else "cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    task = ClassificationTask(config, 10_000)
    batch = {
        part: (images.to(device), labels.to(device)) for part, (images, labels) in batch.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = Lightning(
            task,
            trainer,
            train_dataloaders=_OneBatch(batch["train"]),
            val_dataloaders=_OneBatch(batch["val"]),
        )
        model = strategy.mutate_model(space)
        searcher = strategy.mutate_evaluator(evaluator)
        searcher.evaluate(model)
    return Stepper(searcher.module, searcher.trainer, batch)


class Seconds(dict[str, dict[str, list[float]]]):
    """{name: {"cpu": [seconds per step], "wall": [..]}}"""

    def medians(self, clock: str = "cpu") -> dict[str, float]:
        """Median seconds per step by name."""
        return {name: statistics.median(found[clock]) for name, found in self.items()}


def alternate(steps: Mapping[str, Callable[[], None]], rounds: int, warmup: int = 1) -> Seconds:
    """Time each step in turn, ``rounds`` times, after ``warmup`` untimed rounds.

    CPU seconds are those of this process, all threads; the GPU, where there is one, is waited for.
    """
    seconds = Seconds({name: {"cpu": [], "wall": []} for name in steps})
    for turn in range(warmup + rounds):
        for name, step in steps.items():
            _wait()
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            _wait()
            if turn >= warmup:
                seconds[name]["cpu"].append(time.process_time() - cpu)
                seconds[name]["wall"].append(time.perf_counter() - wall)
    return seconds


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
