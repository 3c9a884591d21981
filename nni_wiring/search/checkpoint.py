"""Checkpoints: everything a search needs to go on bit for bit, replaced atomically after every
epoch.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nni_wiring.errors import RunError
from nni_wiring.files.tensors import tensors_of
from nni_wiring.runs.stamp import Stamp
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.kept import STAMP, keep_checkpoint, parts_of, read_kept
from nni_wiring.strategies.engine.search_module import SearchModule
from search_spaces.nni_api import pl


def random_states() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators, as tensors and plain numbers."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    return {
        "python": {"version": version, "words": list(words), "gauss": gauss},
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the generators back to what :func:`random_states` saw."""
    python, numpy = states["python"], states["numpy"]
    random.setstate((python["version"], tuple(python["words"]), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state(
        (numpy["kind"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"])
    )
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


class RunCheckpoint(pl.callbacks.Checkpoint):
    """Writes the checkpoint of ``folder`` at the end of every epoch, after all other callbacks.

    It holds weights, alphas (also by label), both optimisers, schedulers, all random states, the
    epoch, which is the loaders' position (their order depends on seed and epoch only), and whether
    the strategy's stop rule ended the search there: then a resumed search trains no further. Its
    stamp says which run it belongs to, searched with which ``options``.
    """

    def __init__(self, folder: RunFolder, options: Mapping[str, Any]) -> None:
        self.folder = folder
        self.options = options
        self._restored: dict[str, Any] | None = None
        self._stopped_after: int | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write and replace. Raises RunError where the disk is full or the folder is gone."""
        self._stopped_after = trainer.current_epoch if trainer.should_stop else None
        keep_checkpoint(self.folder, lambda file: trainer.save_checkpoint(file, weights_only=False))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the stamp."""
        epochs = int(checkpoint["epoch"] + 1)
        stamp = Stamp.of(self.folder, self.options, epochs, parts_of(checkpoint))
        checkpoint[STAMP] = stamp.to_plain()

    def state_dict(self) -> dict[str, Any]:
        """The random states at the end of the epoch; the epoch, if the search was stopped there."""
        return {"random": random_states(), "stopped_after": self._stopped_after}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the random states until training starts."""
        self._restored = state_dict["random"]
        self._stopped_after = state_dict.get("stopped_after")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the random states back, once everything else is set up; end a search that was over
        before the first step, as it then would have ended.
        """
        if self._restored is not None:
            restore_random_states(self._restored)
            self._restored = None
        if self._stopped_after is not None and isinstance(pl_module, SearchModule):
            pl_module.strategy.on_epoch_start(self._stopped_after, trainer.max_epochs or 0)
            trainer.should_stop = True


def restore_trained(module: SearchModule, model: Any, path: Path, epochs: int) -> None:
    """Put the supernet of a finished search back as it was after its last epoch, without training.

    module: ``strategy.mutate_evaluator(..).module``. model: the supernet. epochs: that the search
    was to take, which its schedules depend on.
    Raises RunError for a checkpoint of another search.
    """
    module.set_model(model)
    # alpha takes part in gradients as it did in training
    module.configure_architecture_optimizers()
    with tensors_of(path) as checkpoint:
        try:
            module.load_state_dict(checkpoint["state_dict"])
        except RuntimeError as error:
            line = str(error).splitlines()[0][:120]
            raise RunError(f"checkpoint {path.name} belongs to another search: {line}") from None
        module.on_load_checkpoint(checkpoint)
        last = int(checkpoint["epoch"])
    module.strategy.on_epoch_start(last, epochs)


def search_epochs(content: Mapping[str, Any]) -> int:
    """The number of epochs in a search's checkpoint; KeyError, ValueError where it is none."""
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "alphas"):
        if part not in content:
            raise KeyError(part)
    if not content["optimizer_states"]:
        raise ValueError("it holds no states of the optimisers")
    return int(content["epoch"] + 1)


def finished_epochs(path: Path) -> int:
    """Count the epochs that the checkpoint of a search at ``path`` holds; raises RunError if it is
    damaged or foreign.
    """
    return read_kept(path, search_epochs).epochs
