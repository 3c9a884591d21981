"""Small one-shot searches on batches that are given, not drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

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
    """The NAS-Bench-201 space at 4 channels, one cell per stage, three classes."""
    name = options.pop("name", "nasbench201")
    return build_space(name, **{"channels": 4, "cells": 1, "num_classes": 3, **options})


def bare_trainer(**options: Any) -> Trainer:
    """A trainer without logger, checkpoints and progress bar."""
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def evaluator(
    train: Sequence[Batch],
    search: Sequence[Batch],
    *,
    epochs: int = 1,
    callbacks: Sequence[Any] = (),
    task: Task | None = None,
    **sgd: Any,
) -> Lightning:
    """A Lightning evaluator with a bare trainer."""
    trainer = bare_trainer(max_epochs=epochs, callbacks=list(callbacks))
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


# --- the supernet written out: what the project's own cells are tested against ---

EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
Weights = dict[str, dict[str, torch.Tensor]]


def weight_table(group: Any, z: torch.Tensor) -> Weights:
    """{edge: {operation: scalar tensor}} of Z, (edges, operations) in the group's columns."""
    return {
        edge: {op: z[row, group.operations.index(op)] for op in group.edge_operations[row]}
        for row, edge in enumerate(group.edges)
    }


def wiring_cells(space: Any) -> list[Any]:
    """The cells of a NasBench201Space, mutated or not, from the stem to the head."""
    return [layer for layer in space.layers if hasattr(layer, "edges")]


def explicit_cell(
    cell: Any, weights: Weights, x: torch.Tensor, outputs: dict[str, Any] | None = None
) -> torch.Tensor:
    """x_j = sum_i sum_k Z O_k(x_i), term by term; `outputs` collects the nodes and the terms."""
    nodes = [x]
    for target in (1, 2, 3):
        total = torch.zeros_like(x)
        for source in range(target):
            edge = f"{source}-{target}"
            for name, weight in weights[edge].items():
                term = cell.edges[edge][name](nodes[source])
                if outputs is not None:
                    outputs[edge, name] = term
                total = total + weight * term
        nodes.append(total)
    if outputs is not None:
        outputs["nodes"] = nodes
    return nodes[3]


def explicit_network(
    space: Any, weights: Sequence[Weights], images: torch.Tensor, outputs: list[Any] | None = None
) -> torch.Tensor:
    """The logits of the whole network; one table of weights a cell."""
    x = space.stem(images)
    number = 0
    for layer in space.layers:
        if not hasattr(layer, "edges"):
            x = layer(x)
            continue
        found: dict[str, Any] = {}
        x = explicit_cell(layer, weights[number], x, found)
        if outputs is not None:
            outputs.append(found)
        number += 1
    return space.classifier(space.pool(space.lastact(x)).flatten(1))


def explicit_costs(
    space: Any, weights: Sequence[Weights], batch: Batch
) -> tuple[list[dict[str, dict[str, float]]], list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    """<dL/dx_j, O_k(x_i)> of every cell, edge and operation; dL/dx_j and x_j of every node."""
    outputs: list[Any] = []
    logits = explicit_network(space, weights, batch[0], outputs)
    loss = nn.functional.cross_entropy(logits, batch[1])
    costs, gradients, nodes = [], [], []
    for found in outputs:
        inner = found["nodes"][1:]
        into = torch.autograd.grad(loss, inner, retain_graph=True, allow_unused=True)
        into = [torch.zeros_like(n) if g is None else g for g, n in zip(into, inner, strict=True)]
        costs.append(
            {
                edge: {
                    name: (into[int(edge[-1]) - 1] * found[edge, name]).sum().item()
                    for name in weights[0][edge]
                }
                for edge in EDGES
            }
        )
        gradients.append(into)
        nodes.append([node.detach() for node in inner])
    return costs, gradients, nodes
