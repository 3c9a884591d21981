"""The training loop of a fixed cell, epoch by epoch; the schedule has no hidden state."""

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


class Diverged(RunError):
    """A training whose loss is not finite any more."""


class EpochFigures(NamedTuple):
    """One epoch: its seconds and steps, mean gradient norm before clipping, loss (nats) and
    accuracy (percent) by part.
    """

    seconds: float
    steps: int
    gradient_norm: float
    loss: dict[str, float]
    accuracy: dict[str, float]


#: The one-cycle schedule's start, as a share of lr, and the share of the steps that rise (the
#: defaults of torch's OneCycleLR, after Smith & Topin, 2018).
_CYCLE_START, _CYCLE_RISE = 1 / 25, 0.3


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The protocol's optimiser on all weights, the auxiliary head's too."""
    theta = config.theta
    if config.regularisation.optimiser == "adamw":
        return torch.optim.AdamW(
            network.parameters(),
            lr=theta.lr,
            betas=(theta.momentum, 0.999),
            weight_decay=theta.weight_decay,
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=theta.lr,
        momentum=theta.momentum,
        weight_decay=theta.weight_decay,
        nesterov=theta.nesterov and theta.momentum > 0,
    )


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """The schedule's rate over all epochs, at a step (of ``steps``) of an epoch.

    The cosine would reach lr_min one step after the last, the one-cycle schedule reaches it at the
    last (as torch's schedulers do).
    """
    theta, settings = config.theta, config.regularisation
    moved = step if settings.lr_moves == "step" else 0
    if settings.schedule == "one_cycle":
        return _one_cycle(config, epoch * steps + moved, theta.epochs * steps)
    return _cosine(theta.lr, theta.lr_min, (epoch + moved / steps) / theta.epochs)


def _one_cycle(config: TrainConfig, step: int, steps: int) -> float:
    """Up to lr and down to lr_min, at a step (from 0) of all ``steps``."""
    theta = config.theta
    top, last = _CYCLE_RISE * steps - 1, steps - 1
    if step < top:
        return _cosine(theta.lr * _CYCLE_START, theta.lr, step / top)
    return _cosine(theta.lr, theta.lr_min, (step - top) / (last - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def train_step(
    network: FixedNetwork,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    settings: RegularisationSettings,
    autocast: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of the optimiser on a batch (images, labels).

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
        Diverged: the loss of a batch is not finite.
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
    trained = EpochFigures(
        time.perf_counter() - started,
        steps,
        norm,
        {"train": loss},
        {"train": 100 * right / loader.batch_size},
    )
    return judged(parts, network, trained, epoch)


def judged(
    parts: TrainingParts, network: nn.Module, found: EpochFigures, epoch: int
) -> EpochFigures:
    """The figures of epoch ``epoch`` (from 0) with those of the held-out images, where the settings
    want them; network: what was trained. The seconds grow by the evaluation's.

    Raises:
        Diverged: the loss of the training batches is not finite.
    """
    config, started = parts.config, time.perf_counter()
    if not math.isfinite(found.loss["train"]):
        raise Diverged(
            f"the training diverged in epoch {epoch + 1}: its loss is not finite; "
            f"a smaller lr than {config.theta.lr:g} may help"
        )
    if not config.evaluates_after(epoch + 1):
        return found
    losses, accuracies = dict(found.loss), dict(found.accuracy)
    for part, held_out in parts.held_out.items():
        losses[part], accuracies[part] = evaluate(network, held_out, _autocast(parts))
    seconds = found.seconds + time.perf_counter() - started
    return EpochFigures(seconds, found.steps, found.gradient_norm, losses, accuracies)


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
