"""The landscape of trained cells and of finished runs: it is that of the run's own network."""

from __future__ import annotations

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from study_runs import silent_run
from torch.nn.functional import cross_entropy

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.commands import main
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.tensors import tensors_of
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import reopen
from nni_wiring.search.run import run_search
from nni_wiring.studies import trainings
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.landscape import STUDY, judged, lead
from nni_wiring.studies.planes import drawn_plane, filter_weights
from nni_wiring.studies.rewiring import rewired
from nni_wiring.studies.running import run_study
from nni_wiring.studies.sizes import REFERENCE_TRAINING_CLUTTER
from nni_wiring.studies.standing import open_run, standing, untrained
from nni_wiring.studies.surfaces import Grid, loss_surface, measure_landscape, ticks
from nni_wiring.studies.trainings import PAIRS, training_config
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.train.config import make_train_config
from nni_wiring.train.parts import assemble_training
from nni_wiring.train.run import run_train
from nni_wiring.truth import load_table

TINY: dict[str, Any] = {
    "data": "digits",
    "channels": 4,
    "cells": 1,
    "batch_size": 8,
    "epochs": 1,
    "max_steps": 2,
}
SMALL = {"points": 3, "gradient_points": 1, "images": 64, "products": 2, "pairs": 1}
#: Validation accuracy of (wide, deep) after 12 epochs on CIFAR-10, as the design lists it.
AFTER_12_EPOCHS = (
    (71.3, 66.0),
    (73.1, 66.6),
    (77.8, 78.4),
    (77.7, 77.4),
    (71.6, 54.7),
    (76.8, 73.7),
    (79.6, 79.6),
    (73.4, 73.5),
)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    config = make_train_config({**TINY, "arch": PAIRS[0].wide})
    folder = RunFolder.create(tmp_path_factory.mktemp("run") / "train", "trained", config.flat())
    run_train(config, folder)
    return folder


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    config = make_config({**TINY, "strategy": "darts"})
    folder = RunFolder.create(tmp_path_factory.mktemp("run") / "search", "searched", config.flat())
    run_search(config, folder)
    return folder


def study_run(path: Path, **changes: Any) -> StudyRun:
    return silent_run(STUDY, path, **{**TINY, **SMALL, **changes})


def test_the_pairs_are_those_of_the_design(shared_data: Path) -> None:
    with gzip.open(shared_data / "nb201_truth.csv.gz", "rt") as stream:
        known = {row["arch"]: float(row["e12_cifar10valid_val"]) for row in csv.DictReader(stream)}
    for pair, expected in zip(PAIRS, AFTER_12_EPOCHS, strict=True):
        assert [known[arch] for arch in pair[:2]] == pytest.approx(expected, abs=0.051)


def test_the_pairs_are_rewired_ones_the_last_two_placebos() -> None:
    table = load_table()
    pairs = rewired(table)
    known = {
        tuple(table.arch(int(i)) for i in row) for row in zip(pairs.wide, pairs.deep, strict=True)
    }
    assert all(pair[:2] in known for pair in PAIRS)
    assert [pair.placebo for pair in PAIRS] == [False] * 6 + [True] * 2


def test_partners_start_alike_and_placebos_are_one_function(tmp_path: Path) -> None:
    run = study_run(tmp_path)
    for place, pair in enumerate(PAIRS):
        wide, deep = (untrained(training_config(run, arch=arch, seed=1), 64) for arch in pair[:2])
        for ours, theirs in zip(wide.parameters, deep.parameters, strict=True):
            assert torch.equal(ours, theirs)
        assert torch.equal(wide.images[0], deep.images[0])
        planes = [drawn_plane(filter_weights(found.network), 1) for found in (wide, deep)]
        for one, other in zip(planes[0].first, planes[1].first, strict=True):
            assert torch.equal(one, other)
        if place in (0, 6, 7):
            with wide.measured(), deep.measured():
                same = wide.loss(wide.images) == deep.loss(deep.images)
            assert bool(same) == pair.placebo


def test_the_middle_of_a_trainings_plane_is_its_own_loss_bit_for_bit(training: RunFolder) -> None:
    found = standing(training, 64)
    with found.measured():
        surface = loss_surface(found, drawn_plane(filter_weights(found.network), 3), 5)
    own = {**training.config, "augment": False, "max_steps": None, "batch_size": 64}
    parts = assemble_training(make_train_config(own))
    with tensors_of(training.checkpoint) as state:
        parts.network.load_state_dict(state["network"])
    order = next(iter(parts.loaders.train))
    parts.network.train()  # batch norm by the batch
    with torch.no_grad():
        loss = cross_entropy(parts.network(order[0]).double(), order[1])
    assert torch.equal(order[0], found.images[0])
    assert surface[2, 2] == float(loss)
    assert len(set(surface.ravel())) > 20  # and the plane is none other


def test_the_middle_of_a_searchs_plane_is_the_supernets_loss(search: RunFolder) -> None:
    found = standing(search, 64)
    with found.measured():
        surface = loss_surface(found, drawn_plane(filter_weights(found.network), 3), 3)
    whole = reopen(search)
    [group] = whole.strategy.groups
    group.draw = Draw(torch.softmax(group.logits().detach(), dim=-1), group.allowed)
    whole.module.model.train()
    with torch.no_grad():
        loss = cross_entropy(whole.module.model(found.images[0]), found.images[1])
    assert surface[1, 1] == pytest.approx(float(loss), rel=1e-5)
    shapes = {tuple(parameter.shape) for parameter in found.parameters}
    assert tuple(group.alpha.shape) not in shapes  # alpha is no weight


@pytest.mark.parametrize("kind", ["training", "search"])
def test_a_measurement_leaves_everything_as_it_was(
    kind: str, request: pytest.FixtureRequest
) -> None:
    found = standing(request.getfixturevalue(kind), 64)
    network = found.network.train()
    for parameter in found.parameters:
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    row = measure_landscape(found, Grid(3, 1, 4), seed=2)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert [module.training for module in network.modules()] == modes
    assert all(bool((p.grad == 1).all()) for p in found.parameters if p.grad is not None)
    assert all(p.grad is not None for p in found.parameters)
    assert all(math.isfinite(row[name]) for name in row if name != "surface")


def test_the_noise_is_the_spread_of_the_batches_gradients(training: RunFolder) -> None:
    found = standing(training, 96)
    row = measure_landscape(found, Grid(3, 1, 1), seed=1)
    network = found.network.train()
    gradients = []
    for images, labels in found.batches:
        network.zero_grad()
        cross_entropy(network(images), labels).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in found.parameters if p.grad is not None])
        )
    g = torch.stack(gradients).double().numpy()
    variance = g.var(axis=0).sum()
    assert row["noise"] == pytest.approx(math.log(variance / g.shape[1]), abs=1e-4)
    relative = math.log(variance / (g.mean(axis=0) ** 2).sum())
    assert row["relative_noise"] == pytest.approx(relative, abs=1e-4)


def test_a_lead_is_deep_over_wide_in_logarithms() -> None:
    rows = [
        {"pair": 1, "cell": cell, "state": "end", "seed": seed, "roughness": value, "noise": value}
        for cell, seed, value in (
            ("wide", 1, 1.0),
            ("deep", 1, math.e),
            ("wide", 2, 2.0),
            ("deep", 2, 2 * math.e**3),
        )
    ]
    assert lead(rows, "roughness", "end") == {1: pytest.approx(2.0)}
    assert lead(rows, "noise", "end") == {1: pytest.approx((math.e - 1 + 2 * math.e**3 - 2) / 2)}
    assert lead(rows, "roughness", "start") == {}
    rows[0]["roughness"] = -1.0  # no logarithm
    assert math.isnan(lead(rows, "roughness", "end")[1])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "cannot be said"),
        ({"channels": 8, "epochs": 12, "max_steps": None}, "holds"),
        ({**REFERENCE_TRAINING_CLUTTER, "max_steps": None}, "holds"),
    ],
)
def test_small_trainings_give_no_verdict(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    rows = [
        {
            "pair": pair,
            "cell": cell,
            "state": "end",
            "seed": 1,
            "roughness": 1.5 if cell == "deep" else 1.0,
            "curvature": 1.4 if cell == "deep" else 1.0,
            "relative_noise": 0.5 if cell == "deep" else 0.0,
        }
        for pair in range(1, 7)
        for cell in ("wide", "deep")
    ]
    found = judged(study_run(tmp_path, **changes), rows)
    assert [verdict.verdict for verdict in found] == [expected] * 3
    assert all(("no verdict: small" in v.evidence) == (not changes) for v in found)
    assert np.allclose([v.effect for v in found], [math.log(1.5), math.log(1.4), 0.5])


def test_the_grid_has_an_exact_middle() -> None:
    for points in (1, 3, 11, 21):
        assert ticks(points)[points // 2] == 0.0
        np.testing.assert_allclose(ticks(points), np.linspace(-1, 1, points) if points > 1 else [0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": 4}, "points=4 must be odd"),
        ({"pairs": 9}, "pairs=9; allowed: 1 to 8"),
        ({"products": 0}, "products=0 must be at least 1"),
        ({"images": 33}, "images=33 must be a multiple of 32"),
        ({"images": 9600}, "images=9600: the data have 736 training images"),
        ({"strategy": "gdas"}, "strategy is no option of a training"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    options = STUDY.options({**TINY, **SMALL, **changes})
    with pytest.raises(ConfigError, match=message):
        run_study(STUDY, options, tmp_path)


def test_finished_runs_by_the_command(
    training: RunFolder, search: RunFolder, tmp_path: Path
) -> None:
    runs = [part for folder in (training, search) for part in ("--runs", str(folder.path))]
    sizes = [f"{name}={value}" for name, value in SMALL.items()]
    options = [part for text in sizes for part in ("--set", text)]
    command = ["study", "landscape", *runs, *options, "--out", str(tmp_path / "out"), "--json"]
    shown = CliRunner().invoke(main, command, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    result = json.loads(shown.stdout)
    assert [row["run"] for row in result["rows"]] == ["trained", "searched"]
    assert list(result["numbers"]["surfaces"]) == ["trained, plane 1", "searched, plane 1"]
    assert result["verdicts"] == [] and not (tmp_path / "out" / "runs").exists()
    for name in ("surface.png", "contour.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    for row, folder in zip(result["rows"], (training, search), strict=True):
        found = standing(folder, 64)
        with found.measured():
            assert row["loss"] == float(found.loss(found.images))


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    config = make_train_config({**TINY, "arch": PAIRS[0].wide})
    RunFolder.create(tmp_path / "run", "cut", config.flat())
    with pytest.raises(RunError, match="run cut is running; allowed: finished runs"):
        open_run(str(tmp_path / "run"))


@pytest.mark.slow
def test_an_interrupted_study_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = study_run(tmp_path).options
    whole = run_study(STUDY, options, tmp_path / "whole")
    original, started = trainings.run_train, []

    def stop_at_the_second(config: Any, folder: RunFolder, **kwargs: Any) -> Any:
        started.append(folder.run_id)
        if len(started) == 2:
            raise KeyboardInterrupt
        return original(config, folder, **kwargs)

    monkeypatch.setattr(trainings, "run_train", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, options, tmp_path / "cut")
    again = run_study(STUDY, options, tmp_path / "cut")
    assert started == ["pair1-wide-s1", "pair1-deep-s1", "pair1-deep-s1"]
    assert all(again[name] == whole[name] for name in ("tables", "verdicts", "numbers", "rows"))
