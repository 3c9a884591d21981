"""The network that is exported: a cell, its weights, its data, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from nni_wiring.data import ImageData
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.tensors import tensors_of
from nni_wiring.runs.environment import git_commit
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.kept import read_kept
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.network import build_network, fixed_network
from nni_wiring.train.run import training_epochs
from search_spaces.cell_graph import NB201
from search_spaces.registry import SPACES, SpaceEntry
from search_spaces.settings import NasBench201SpaceSettings


@dataclass(frozen=True)
class Training:
    """The training that weights come from.

    Attributes:
        run_id: of its run.
        epochs: that the weights have seen; planned: that the protocol has.
        accuracy: after them, percent, by part of the data ("train", "valid", "test").
    """

    run_id: str
    epochs: int
    planned: int
    accuracy: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One network to take away.

    Attributes:
        config: its cell and settings; of a training, also the protocol.
        network: in evaluation mode, on the CPU.
        data: the images that it takes.
        training: None for fresh weights.
        commit: the git commit that made the weights; None where it is not known.
        found_by: the id of the search that found the cell of fresh weights.
    """

    config: TrainConfig
    network: nn.Module
    data: ImageData
    training: Training | None
    commit: str | None
    found_by: str | None = None


def trained_subject(run: RunFolder) -> Subject:
    """The network of a training as its last whole epoch left it.

    Raises:
        WiringError: one line; the run is no cell of NAS-Bench-201's network, has no checkpoint, or
            a damaged one.
    """
    config = make_train_config(run.config)
    check_space(config.space)
    if not run.checkpoint.exists():
        raise RunError(f"run {run.run_id} has no checkpoint yet, so no weights to export")
    data = config.data_settings.load()
    whole = fixed_network(config, data.num_classes, data.image_shape)
    kept = read_kept(run.checkpoint, training_epochs)
    kept.check(run, config.flat())
    with tensors_of(run.checkpoint) as state:
        whole.load_state_dict(state["network"])
    epochs = kept.epochs
    accuracy = next((r.accuracy for r in run.records() if r.epoch == epochs - 1), {})
    training = Training(run.run_id, epochs, config.theta.epochs, dict(accuracy))
    commit = run.info.get("git_commit")
    known = commit if isinstance(commit, str) else None
    return Subject(config, whole.network.eval(), data, training, known)


def fresh_subject(options: Mapping[str, Any], found_by: str | None = None) -> Subject:
    """The network of a cell with the weights that a training of the same seed starts from.

    Args:
        options: ``arch``, and any of ``space``, ``data``, ``data_dir``, ``seed`` and the space's
            own settings; others of a training change nothing here.
        found_by: the id of the search that found the cell.

    Raises:
        WiringError: one line; an option is unknown or wrong, or the space is another network's.
    """
    config = make_train_config(options)
    check_space(config.space)
    data = config.data_settings.load()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        network = build_network(config, data.num_classes)
    return Subject(config, network.eval(), data, None, git_commit(), found_by)


def check_space(entry: SpaceEntry) -> None:
    """Raise ConfigError for a space whose cells do not stand in NAS-Bench-201's network."""
    if _exportable(entry):
        return
    allowed = ", ".join(other.name for other in SPACES.values() if _exportable(other))
    raise ConfigError(
        f"export: cells of space {entry.name} are not written as plain PyTorch; allowed: {allowed}"
    )


def _exportable(entry: SpaceEntry) -> bool:
    return entry.graph == NB201 and issubclass(entry.settings, NasBench201SpaceSettings)
