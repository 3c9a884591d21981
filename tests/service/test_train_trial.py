"""A fixed cell as an NNI trial: what NNI is told. The manager is stood in for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nni
import pytest
import yaml

from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.trial import Job, open_run, run_job, train_metric
from nni_wiring.train.config import make_train_config

REPO = Path(__file__).resolve().parents[2]
ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
TINY = {"channels": 4, "cells": 1, "epochs": 2, "max_steps": 2, "batch_size": 8}


def test_nni_is_told_the_accuracy_on_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[dict[str, Any]] = []
    final: list[dict[str, Any]] = []
    monkeypatch.setattr(nni, "report_intermediate_result", epochs.append)
    monkeypatch.setattr(nni, "report_final_result", final.append)
    job = Job({"arch": ARCH, **TINY}, tmp_path, "AbCdE", "exp1", 7)
    run_job(job, *open_run(job))
    records = RunFolder.open(tmp_path).records()
    assert [m["default"] for m in epochs] == [r.accuracy["test"] for r in records]
    assert final == [epochs[-1]]  # numbers only; the rest stands in run.json
    assert RunFolder.open(tmp_path).info["parameters"] == job.parameters


def test_an_epoch_without_held_out_images_reports_the_training_accuracy() -> None:
    metric = train_metric(EpochRecord(epoch=1, accuracy={"train": 30.0}, loss={"train": 2.0}))
    assert metric == {"default": 30.0, "train_accuracy": 30.0, "training_loss": 2.0, "epoch": 1.0}


def test_every_point_of_the_shipped_search_space_is_a_training() -> None:
    config = yaml.safe_load((REPO / "tuner_configs" / "train.yml").read_text())
    space = {name: choice["_value"] for name, choice in config["searchSpace"].items()}
    common = {name: values[0] for name, values in space.items()}
    for arch in space["arch"]:
        assert make_train_config({**common, "arch": arch}).training.arch == arch
    assert config["maxTrialNumber"] == len(space["arch"]) * len(space["seed"])
