"""`nnictl stop` amid a search and `nnictl resume`: one run, no epoch lost or run twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from nni_wiring.runs.store import RunFolder
from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.manifest import experiment_folder

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
EPOCHS = 40
SETTINGS = {"epochs": EPOCHS, "max_steps": 1, "channels": 2, "cells": 1, "batch_size": 8}


@pytest.mark.slow
def test_a_stopped_search_goes_on_where_it_was(nni: NniRunner, tmp_path: Path) -> None:
    config = yaml.safe_load((REPO / "tuner_configs" / "quickstart.yml").read_text())
    space = {name: {"_type": "choice", "_value": [value]} for name, value in SETTINGS.items()}
    config |= {"searchSpace": space, "maxTrialNumber": 1, "trialCodeDirectory": str(REPO)}
    (tmp_path / "one.yml").write_text(yaml.safe_dump(config))
    experiment_id = nni.create(tmp_path / "one.yml")
    folder = experiment_folder(experiment_id)
    assert folder is not None
    run_folder = wait_for_epochs(folder, 3)

    nni.call("nnictl", "stop", experiment_id)

    stopped = RunFolder.open(run_folder)
    before = stopped.epochs()
    done = len(before)
    assert stopped.status == "interrupted"
    assert 3 <= done < EPOCHS
    answer = nni.resume(experiment_id)
    assert answer.returncode == 0, answer.stderr
    watched = nni.cli("watch", experiment_id, "--stop")
    assert watched.returncode == 0, watched.stderr
    run = RunFolder.open(run_folder)
    assert run.status == "finished"
    assert [record["epoch"] for record in run.epochs()] == list(range(EPOCHS))
    # the last record may be of an epoch that had no checkpoint yet; seconds show the others kept
    assert run.epochs()[: done - 1] == before[: done - 1]
    (trial,) = read_experiment(folder).trials
    assert trial.parameter_id == stopped.info["parameter_id"]
    assert {metric["epoch"] for metric in trial.intermediate} == set(range(EPOCHS))
    assert len(trial.intermediate) <= EPOCHS + 1  # the epoch that was cut off may be told twice
    truth = run.records()[-1].truth
    assert trial.final is not None and truth is not None
    assert trial.final["default"] == truth.at("cifar10", "valid").accuracy


def wait_for_epochs(folder: Path, count: int, seconds: float = 180) -> Path:
    """Wait until the only trial has run `count` epochs; returns its folder."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for records in folder.glob("environments/*/trials/*/epochs.jsonl"):
            if len(records.read_bytes().splitlines()) >= count:
                return records.parent
        time.sleep(0.1)
    raise AssertionError(f"fewer than {count} epochs in {seconds} s")
