"""ClassificationTask: the training recipe of theta, as NNI's evaluator takes it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from nni_wiring.search.config import RunConfig
from search_spaces.nni_api import LightningModule


class ClassificationTask(LightningModule):
    """Cross-entropy; SGD with a cosine schedule from lr to lr_min over all steps (AutoDL)."""

    def __init__(self, config: RunConfig, steps_per_epoch: int) -> None:
        super().__init__()
        self.config = config
        self.total_steps = max(1, config.epochs * steps_per_epoch)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) -> logits (n, classes)."""
        return self.model(images)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """The cross-entropy of one batch (images, labels), mean over the batch, nats."""
        images, labels = batch
        return nn.functional.cross_entropy(self(images), labels)

    def configure_optimizers(self) -> Any:
        """SGD, and a cosine schedule that moves every step."""
        config = self.config
        optimizer = torch.optim.SGD(
            self.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov and config.momentum > 0,
            foreach=True,  # the same numbers as one tensor at a time, in half the time
        )
        floor = config.lr_min / config.lr

        def factor(step: int) -> float:
            share = min(step / self.total_steps, 1.0)
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
