"""An epoch of training on the kernels, in the order and by the schedule of ``train.loop``."""

from __future__ import annotations

import math
import time

import torch
from torch import nn

from nni_wiring.train.compact.network import IMAGES, CompactNetwork
from nni_wiring.train.compact.program import NotCompactError
from nni_wiring.train.loop import EpochFigures, judged, learning_rate
from nni_wiring.train.parts import TrainingParts

#: At 16 the kernels are twice as fast as torch's, at 32 hardly faster (docs/train.md).
MAX_CHANNELS = 16


def compact_network(parts: TrainingParts) -> CompactNetwork:
    """The network of a training, with its weights, on the kernels.

    Raises:
        NotCompactError: one line; what of the training the kernels do not do.
    """
    config = parts.config
    training, regularisation = config.training, config.regularisation
    refused = {
        "device": parts.device.type != "cpu",
        "precision": training.precision != "float32",
        "drop_path": regularisation.drop_path > 0,
        "auxiliary": regularisation.auxiliary > 0,
        "batch_size": config.theta.batch_size % IMAGES > 0,
        "channels": config.space_settings.model_dump().get("channels", 0) > MAX_CHANNELS,
    }
    for option, is_refused in refused.items():
        if is_refused:
            raise NotCompactError(f"{option}: the kernels do not train with this value")
    _, *side = parts.data.image_shape
    return CompactNetwork(parts.network.network, (side[0], side[1]), config.theta.batch_size)


def train_epoch(
    parts: TrainingParts, network: CompactNetwork, optimizer: torch.optim.Optimizer, epoch: int
) -> EpochFigures:
    """Train epoch ``epoch`` (from 0) and evaluate where the settings say so.

    Raises:
        RunError: the training diverged.
    """
    config, loader = parts.config, parts.loaders.train
    started, steps = time.perf_counter(), len(loader)
    loader.set_epoch(epoch)
    loss = right = norm = 0.0
    for step, (images, labels) in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, epoch, step, steps)
        found = network.train_step(images, labels)
        clip = config.regularisation.clip or math.inf
        norm += float(nn.utils.clip_grad_norm_([network.weights], clip))
        optimizer.step()
        loss, right = loss + found[0], right + found[1]
    trained = EpochFigures(
        time.perf_counter() - started,
        steps,
        norm / steps,
        {"train": loss / steps},
        {"train": 100 * right / (steps * loader.batch_size)},
    )
    return judged(parts, network, trained, epoch)
