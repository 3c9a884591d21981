"""Selections in a search: the final one's cell, truth and trace; resuming one that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.selection.perturbation import Perturbation
from nni_wiring.selection.supernet_ranking import SupernetRanking
from nni_wiring.strategies.darts import DARTS
from nni_wiring.supernet.evaluation import evaluation_mode, one_hot, supernet_accuracy
from nni_wiring.truth import load_table
from search_spaces.cell_graph import OPERATIONS, format_arch
from search_spaces.registry import build_space

RANKING = {"selection": "supernet_ranking", "selection_settings": {"samples": 4, "batches": 1}}


def make_run(folder: Path) -> tuple[Any, RunFolder]:
    tiny = {"channels": 4, "cells": 1, "epochs": 1, "max_steps": 2, "batch_size": 8}
    config = make_config({**tiny, **RANKING})
    return config, RunFolder.create(folder / "run", "run", config.flat())


def test_the_result_is_the_final_selection_s(tmp_path: Path) -> None:
    """Its cell is the best of the trace, its truth the table's own entry of that cell."""
    config, folder = make_run(tmp_path)
    result = run_search(config, folder).to_json()
    trace = result["selection_details"]["cells"]
    best = max(trace, key=lambda entry: entry["supernet_accuracy"])
    assert result["selection"] == "supernet_ranking"
    assert result["arch"] == format_arch(best["operations"][0])
    assert len(OPERATIONS) > max(best["operations"][0])
    truth = load_table().query(result["arch"])["accuracy"]["cifar10"]["valid"]
    assert result["default"] == result["truth"]["accuracy"]["cifar10"]["valid"] == truth


def test_a_stopped_selection_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the last epoch: resumed without training, with the same result."""
    config, whole = make_run(tmp_path / "whole")
    expected = run_search(config, whole)
    _, stopped = make_run(tmp_path / "stopped")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(SupernetRanking, "accuracy", lambda *_: 1 / 0)
        run_search(config, stopped)
    assert run_search(config, stopped, resume=True) == expected


@pytest.mark.parametrize("number", ["inf", "nan"])
def test_settings_are_finite_numbers(number: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Perturbation(lr=float(number))
    allowed = f"selection perturbation: lr: Input should be a finite number (got {number})"
    assert str(caught.value) == allowed
    with pytest.raises(ConfigError) as caught:
        DARTS(selection="perturbation", selection_settings={"lr": float(number)})
    assert str(caught.value) == f"strategy darts: {allowed}"


def test_evaluation_leaves_tracked_statistics_and_modes() -> None:
    """Batch statistics: the same accuracy as in training mode, and nothing moves."""
    strategy = DARTS(supernet="plain")
    model = strategy.mutate_model(build_space("nasbench201", channels=4, cells=1, track_stats=True))
    (group,) = strategy.groups
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    norms[0].eval()
    modes = [m.training for m in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images, labels = torch.randn(32, 3, 8, 8), torch.randint(0, 10, (32,))
    z = {group.name: one_hot(group, [3, 2, 1, 3, 2, 4])}
    found = supernet_accuracy(model, [(images, labels)], z)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert group.draw is None and all(norm.track_running_stats for norm in norms)
    with evaluation_mode(model, batch_statistics=False):
        assert not torch.is_grad_enabled() and not any(norm.training for norm in norms)
    model.train()
    group.draw = strategy.draw(group, "weights", torch.Generator())._replace(z=z[group.name])
    with torch.no_grad():
        right = (model(images).argmax(-1) == labels).sum().item()
    assert found == pytest.approx(100 * right / 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"selection": "nothing"}, "allowed: magnitude"),
        ({"selection": "supernet_ranking", "selection_settings": {"sample": 3}}, "samples"),
        ({"selection_settings": {"samples": 3}}, "samples"),
    ],
)
def test_bad_selections(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DARTS(**settings)
