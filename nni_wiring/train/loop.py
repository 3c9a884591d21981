"""The training loop of a fixed cell: SGD with a cosine, epoch by epoch, without a hidden state."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nni_wiring.data import BatchLoader
from nni_wiring.errors import RunError
from nni_wiring.train.config import RegularisationSettings, TrainConfig
from nni_wiring.train.network import FixedNetwork
from nni_wiring.train.parts import TrainingParts


class EpochFigures(NamedTuple):
    """One epoch: its seconds and steps, mean gradient norm before clipping, loss (nats) and
    accuracy (percent) by part.
    """

    seconds: float
    steps: int
    gradient_norm: float
    loss: dict[str, float]
    accuracy: dict[str, float]


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD on all weights, the auxiliary head's too."""
    theta = config.theta
    return torch.optim.SGD(
        network.parameters(),
        lr=theta.lr,
        momentum=theta.momentum,
        weight_decay=theta.weight_decay,
        nesterov=theta.nesterov and theta.momentum > 0,
    )


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """The cosine from lr to lr_min over all epochs, at a step (of ``steps``) of an epoch."""
    theta = config.theta
    within = step / steps if config.regularisation.lr_moves == "step" else 0.0
    share = (epoch + within) / theta.epochs
    return theta.lr_min + (theta.lr - theta.lr_min) * 0.5 * (1 + math.cos(math.pi * share))


def train_step(
    network: FixedNetwork,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    settings: RegularisationSettings,
    autocast: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of SGD on a batch (images, labels).

    Returns:
        The cross-entropy (nats, without the auxiliary head's), how many images were right, and the
        gradient's norm before clipping: scalars on the device.
    """
    images, labels = batch
    with autocast or nullcontext():
        logits = network(images)
        loss = objective = nn.functional.cross_entropy(logits, labels)
        extra = network.auxiliary_logits()
        if extra is not None:
            objective = loss + settings.auxiliary * nn.functional.cross_entropy(extra, labels)
    optimizer.zero_grad()
    if objective.requires_grad:
        objective.backward()
    parameters = [p for p in network.parameters() if p.grad is not None]
    norm = nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
    optimizer.step()
    return loss.detach(), (logits.detach().argmax(1) == labels).sum(), norm.detach()


def train_epoch(parts: TrainingParts, optimizer: torch.optim.Optimizer, epoch: int) -> EpochFigures:
    """Train epoch ``epoch`` (from 0) and evaluate where the settings say so.

    Raises:
        RunError: the training diverged.
    """
    config, network, loader = parts.config, parts.network, parts.loaders.train
    started, steps = time.perf_counter(), len(loader)
    network.train()
    network.drop_path.probability = config.regularisation.drop_path * epoch / config.theta.epochs
    loader.set_epoch(epoch)
    sums = torch.zeros(3, dtype=torch.float64, device=parts.device)
    for step, batch in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, epoch, step, steps)
        found = train_step(network, optimizer, batch, config.regularisation, _autocast(parts))
        sums += torch.stack([value.to(sums) for value in found])
    loss, right, norm = (sums / steps).tolist()
    if not math.isfinite(loss):
        raise RunError(
            f"the training diverged in epoch {epoch + 1}: its loss is not finite; "
            f"a smaller lr than {config.theta.lr:g} may help"
        )
    losses, accuracies = {"train": loss}, {"train": 100 * right / loader.batch_size}
    if config.evaluates_after(epoch + 1):
        for part, held_out in parts.held_out.items():
            losses[part], accuracies[part] = evaluate(network, held_out, _autocast(parts))
    return EpochFigures(time.perf_counter() - started, steps, norm, losses, accuracies)


@torch.no_grad()
def evaluate(
    network: nn.Module, loader: BatchLoader | Iterable[tuple[Tensor, Tensor]], autocast: Any = None
) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy (percent) over all images, in evaluation mode."""
    network.eval()
    loss = right = 0.0
    count = 0
    for images, labels in loader:
        with autocast or nullcontext():
            logits = network(images)
        loss += float(nn.functional.cross_entropy(logits.float(), labels, reduction="sum"))
        right += int((logits.argmax(1) == labels).sum())
        count += len(labels)
    return loss / count, 100 * right / count


def _autocast(parts: TrainingParts) -> Any:
    if parts.config.training.precision != "bf16":
        return None
    return torch.autocast(parts.device.type, torch.bfloat16)
