"""Steps of a search as they are done, for whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from search_spaces.nni_api import pl


class StepCounter(pl.Callback):
    """Tells after every step how many of the whole search's steps are done, and how many it has."""

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *step: Any
    ) -> None:
        """Steps done, steps in all."""
        steps = int(trainer.num_training_batches)
        done = trainer.current_epoch * steps + step[-1] + 1
        self._tell(done, (trainer.max_epochs or 1) * steps)
