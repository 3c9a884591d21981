"""The spaces that studies take: a misfit is refused before anything is trained, the others run."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.commands import main
from nni_wiring.errors import ConfigError, WiringError
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.probes import cost_samples
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.strength import strengths
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.supernet.evaluation import supernet_accuracy

TINY: dict[str, Any] = {"data": "digits", "channels": 4, "cells": 3, "batch_size": 8}
DARTS = ("darts", "darts_s1", "darts_s4")
#: Those whose definition has a meaning in cells of two kinds with concatenated outputs.
EVERYWHERE = ("cost-at-initialisation", "cost-after-training", "cost-decomposition", "strength")
NOT_DARTS = (
    *("growing", "bilevel-failure", "sensitivity", "unified-view", "cost-vs-truth"),
    *("skip-dominance", "shuffling", "pattern-atlas", "enas-vs-random"),
    *("controller-conditioning", "controller-states", "controller-memory"),
)


@pytest.mark.parametrize("space", DARTS)
@pytest.mark.parametrize("name", NOT_DARTS)
def test_a_study_without_a_meaning_there_refuses(name: str, space: str) -> None:
    message = f"^study {name}: space={space}: .+; allowed: nasbench201"
    with pytest.raises(ConfigError, match=message) as caught:
        study(name).options({"space": space})
    assert "\n" not in str(caught.value) and "darts" not in str(caught.value).split("allowed")[1]


@pytest.mark.parametrize("space", DARTS)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_others_take_them(name: str, space: str) -> None:
    assert study(name).options({"space": space})["space"] == space


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("skip-dominance", {"space": "nasbench201_minimal"}, "not every edge allows skip_connect"),
        ("skip-dominance", {"space": "minimal"}, "not every edge allows nor_conv_3x3"),
        (
            "skip-dominance",
            {"operations": {"0-1": ["skip_connect"]}},
            "operations=.*not every edge allows nor_conv_3x3",
        ),
        ("growing", {"space": "nasbench201_s2"}, "no edge has a choice with none in it"),
        ("cost-vs-truth", {"space": "nasbench201_s4"}, "benchmark nasbench201 does not hold"),
        ("cost-vs-truth", {"space": "transnas101_micro"}, "benchmark nasbench201 does not hold"),
        ("sensitivity", {"space": "transnas101_micro"}, "avg_pool_3x3 is none of its operations"),
        ("shuffling", {"space": "simplified"}, "other edges than 0-1 0-2 1-2 0-3 1-3 2-3"),
        ("random-wiring", {"space": "nasbench201"}, "allowed: darts$"),
        ("failure-spaces", {"space": "darts"}, "its option is spaces"),
        ("failure-spaces", {"spaces": ["nasbench201_s2", "nowhere"]}, "'nowhere' is not known"),
    ],
)
def test_other_misfits(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WiringError, match=message):
        study(name).options(changes)


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    command = ["study", "skip-dominance", "--set", "space=darts_s1", "--out", str(tmp_path / "s")]
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == 1 and shown.stdout == ""
    [line] = shown.stderr.strip().splitlines()
    assert "space=darts_s1" in line and "allowed: nasbench201, nasbench201_simple, " in line
    assert not (tmp_path / "s").exists()


def opened(**changes: Any) -> OpenSearch:
    options = {**TINY, "strategy": "darts", "supernet": "plain", "space": "darts_s1"}
    return open_search(make_config({**options, **changes}))


def test_strengths_of_both_kinds_are_accuracies_under_the_changed_z() -> None:
    """Without tuning: masked and one-hot rows put into Z by hand, one supernet evaluation each."""
    found = opened()
    torch.manual_seed(0)
    with torch.no_grad():
        for group in found.strategy.groups:
            group.alpha.normal_()
    part = strengths(found, {"batches": 1, "tune_steps": 0, "tune_lr": 0.1})
    edges = [f"{kind}/{edge}" for kind in ("normal", "reduce") for edge in group.edges]
    assert part["edges"] == edges and len(edges) == 28
    known = ~np.isnan(np.array(part["alpha"]))
    assert known.sum() == 56 and (known == ~np.isnan(np.array(part["discretisation"]))).all()
    p = {g.name: torch.softmax(g.logits().detach(), dim=-1) for g in found.strategy.groups}
    batches = list(islice(iter(found.loaders.evaluation), 1))

    def accuracy(kind: str, edge: int, row: torch.Tensor) -> float:
        z = {name: value.clone() for name, value in p.items()}
        z[kind][edge] = row
        return supernet_accuracy(found.module.model, batches, z)

    for group in found.strategy.groups:
        for edge in (0, 13):
            k = group.allowed[edge][1]
            place = edges.index(f"{group.name}/{group.edges[edge]}")
            column = part["operations"].index(group.operations[k])
            row = p[group.name][edge].clone()
            assert part["alpha"][place][column] == pytest.approx(float(row[k]))
            row[k] = 0
            lost = part["accuracy"] - accuracy(group.name, edge, row)
            assert part["perturbation"][place][column] == pytest.approx(lost, abs=1e-9)
            only = torch.zeros_like(row)
            only[k] = 1
            found_accuracy = part["discretisation"][place][column]
            assert found_accuracy == pytest.approx(accuracy(group.name, edge, only), abs=1e-9)


def test_costs_of_both_kinds_are_slopes_of_the_loss() -> None:
    """Cells of a kind share Z, so that their costs add up to the slope by central differences."""
    found = opened(max_steps=1, head="bias_free")
    module = found.module.double().train()
    images, labels = next(iter(found.loaders.train))
    batch = (images.double(), labels)
    samples = cost_samples(module, [batch], 1)
    groups = {group.name: group for group in found.strategy.groups}
    z = {name: torch.softmax(group.logits().detach(), dim=-1) for name, group in groups.items()}
    assert {name: costs.shape[1] for name, costs in samples.items()} == {"normal": 1, "reduce": 2}

    def loss(name: str, edge: int, k: int, step: float) -> float:
        for other, group in groups.items():
            changed = z[other].clone()
            changed[edge, k] += step if other == name else 0.0
            group.draw = Draw(changed, group.allowed)
        with torch.no_grad():
            return float(nn.functional.cross_entropy(module.model(batch[0]), batch[1]))

    for name, group in groups.items():
        for edge in (0, 5, 13):
            k = group.allowed[edge][0]
            slope = (loss(name, edge, k, 1e-5) - loss(name, edge, k, -1e-5)) / 2e-5
            assert samples[name][0, :, edge, k].sum() == pytest.approx(slope, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("strength", {"batches": 1, "tune_steps": 1}),
        ("cost-after-training", {"batches": 2}),
        ("cost-decomposition", {"batches": 1}),
    ],
)
def test_a_study_runs_in_cells_of_two_kinds(name: str, own: dict[str, Any], tmp_path: Path) -> None:
    changes = {**TINY, **own, "space": "darts_s1", "seeds": 1, "epochs": 1, "max_steps": 1}
    result = run_study(study(name), study(name).options(changes), tmp_path)
    assert result["tables"] and all(table["rows"] for table in result["tables"])
    if name != "cost-decomposition":
        assert {row["edge"].split("/")[0] for row in result["rows"]} == {"normal", "reduce"}
    assert json.loads((tmp_path / "study.json").read_text())["options"]["space"] == "darts_s1"
