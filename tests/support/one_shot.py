"""Small one-shot searches on batches that are given, not drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from nni_wiring import nni_nas  # noqa: F401  (must come before nni.nas)

# isort: split
from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer

from search_spaces.registry import build_space

Batch = tuple[torch.Tensor, torch.Tensor]


def random_batches(
    count: int, seed: int, *, images: int = 6, classes: int = 3, size: int = 8
) -> list[Batch]:
    """`count` batches of N(0, 1) images and random labels, in torch's default dtype."""
    draw = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(images, 3, size, size, generator=draw),
            torch.randint(0, classes, (images,), generator=draw),
        )
        for _ in range(count)
    ]


class Batches:
    """A loader that gives the same batches in the same order every epoch."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = list(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class Task(LightningModule):
    """Cross-entropy and plain SGD; keeps the (images, labels) of every training step."""

    def __init__(self, **sgd: Any) -> None:
        super().__init__()
        self.sgd = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, **sgd}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), **self.sgd)


def tiny_space(**options: Any) -> Any:
    """The NAS-Bench-201 space at 4 channels, one cell a stage, three classes."""
    name = options.pop("name", "nasbench201")
    return build_space(name, **{"channels": 4, "cells": 1, "num_classes": 3, **options})


def evaluator(
    train: Sequence[Batch],
    search: Sequence[Batch],
    *,
    epochs: int = 1,
    callbacks: Sequence[Any] = (),
    task: Task | None = None,
    **sgd: Any,
) -> Lightning:
    """A Lightning evaluator without loggers, checkpoints and progress bar."""
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
    )
    return Lightning(
        task or Task(**sgd),
        trainer,
        train_dataloaders=Batches(train),
        val_dataloaders=Batches(search),
    )


def search(strategy: Any, space: Any, given: Lightning) -> tuple[Any, Any]:
    """Run a strategy the way NasExperiment does; returns the supernet and the search module."""
    model = strategy.mutate_model(space)
    searcher = strategy.mutate_evaluator(given)
    searcher.evaluate(model)
    return model, searcher.module


def set_alphas(groups: Any, seed: int, scale: float = 1.0) -> None:
    """Alphas far from zero, so that all operations differ."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for group in groups:
            group.alpha.copy_(scale * torch.randn(group.alpha.shape, generator=draw))
