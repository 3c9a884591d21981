"""The parts of a search: the same for everything that begins with a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import config_of, new_run

from nni_wiring.errors import ConfigError, DataError
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.search.assemble import assemble
from nni_wiring.search.reopen import open_search
from nni_wiring.search.run import run_search
from nni_wiring.truth import load_table
from search_spaces.nni_api import pl


class FirstWeights(pl.Callback):
    """Takes down the search module as training starts."""

    def __init__(self) -> None:
        self.found: dict[str, torch.Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.found = {name: value.clone() for name, value in pl_module.state_dict().items()}


@pytest.mark.parametrize(
    ("strategy", "own"),
    [
        ("darts", {}),
        (
            "enas",
            {
                "controller_steps": 1,
                "controller_samples": 2,
                "selection_settings": {"samples": 1, "batches": 1},
            },
        ),
    ],
)
def test_a_search_begins_with_the_supernet_that_open_search_opens(
    strategy: str, own: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorBoardSink, "_pictures", lambda self, record: {})
    config = config_of(strategy=strategy, seed=5, epochs=1, max_steps=1, **own)
    first = FirstWeights()
    run_search(config, new_run(tmp_path / "run", **config.flat()), probes=[first])
    torch.rand(3)  # whatever the process drew in between
    opened = open_search(config).module.state_dict()
    assert set(opened) == set(first.found)
    for name, value in opened.items():
        assert torch.equal(value, first.found[name]), name


@pytest.mark.parametrize(
    ("options", "dataset", "known"),
    [
        ({}, "cifar10", True),  # the digits' own
        ({"dataset": "imagenet16"}, "imagenet16", True),
        ({"space": "nasbench201_s2"}, "cifar10", True),
        ({"space": "nasbench201_s4"}, "cifar10", False),  # noise is in no benchmark
        ({"space": "darts", "cells": 3}, "cifar10", False),
    ],
)
def test_whose_truth_is_shown(options: dict[str, Any], dataset: str, known: bool) -> None:
    parts = assemble(config_of(**options))
    assert parts.dataset == dataset
    assert parts.table is (load_table() if known else None)


def test_each_part_has_the_settings_that_are_its_own() -> None:
    parts = assemble(config_of(batch_size=6, max_steps=4, split="half", channels=6, cells=2))
    images, labels = next(iter(parts.loaders.train))
    assert len(images) == len(labels) == 6
    assert parts.loaders.steps == len(list(parts.loaders.search)) == 4
    assert parts.task.total_steps == 3 * 4
    convolution = next(m for m in parts.space.modules() if isinstance(m, torch.nn.Conv2d))
    assert convolution.out_channels == 6
    cells = [layer for layer in parts.space.layers if hasattr(layer, "edges")]
    assert len(cells) == 3 * 2  # N a stage, three stages
    assert parts.strategy.settings == parts.config.method
    assert (parts.data.name, parts.device.type) == ("digits", "cpu")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"device": "cuda"}, ConfigError, "allowed: auto, cpu"),
        ({"data": "npz:no/such.npz"}, DataError, "no/such.npz"),
        ({"cutout": 99}, DataError, "cutout 99"),
        ({"batch_size": 100_000}, DataError, "batch size 100000"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    options: dict[str, Any], error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(error, match=words) as caught:
        assemble(config_of(**options))
    assert "\n" not in str(caught.value)
