"""Searches under a real NNI manager: created by nnictl, awaited, read back."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from nni_wiring.files.json_files import read_object
from nni_wiring.service.experiment import NniExperiment, read_experiment
from nni_wiring.service.manifest import experiment_folder
from nni_wiring.service.resolve import resolve
from nni_wiring.truth import load_table

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
ENDLESS = 100_000  # epochs
SMALL = {"strategy": "darts", "epochs": 2, "max_steps": 2, "channels": 2, "cells": 1}


def write_config(path: Path, **settings: list) -> Path:
    """The quick start's YAML, smaller, with `settings` as choices."""
    config = yaml.safe_load((REPO / "tuner_configs" / "quickstart.yml").read_text())
    choices = {name: [value] for name, value in SMALL.items()} | settings
    space = {name: {"_type": "choice", "_value": values} for name, values in choices.items()}
    trials = 1
    for values in choices.values():
        trials *= len(values)
    code = str(REPO)
    config |= {"searchSpace": space, "maxTrialNumber": trials, "trialCodeDirectory": code}
    path.write_text(yaml.safe_dump(config))
    return path


def read(experiment_id: str) -> NniExperiment:
    folder = experiment_folder(experiment_id)
    assert folder is not None
    return read_experiment(folder)


@pytest.mark.slow
def test_two_trials_from_create_to_analysis(nni: NniRunner, tmp_path: Path) -> None:
    experiment_id = nni.create(write_config(tmp_path / "two.yml", seed=[1, 2]))

    watched = nni.cli("watch", "latest", "--stop")

    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "2 of 2 trials succeeded" in watched.stdout
    assert "epoch 2/2  true accuracy" in watched.stdout
    experiment = read(experiment_id)
    assert not experiment.managed
    table = load_table()
    runs = resolve(experiment_id)
    for trial, run in zip(experiment.trials, runs, strict=True):
        result = run.result()
        assert trial.final is not None and trial.parameters is not None and result is not None
        assert run.status == "finished" and run.run_id == trial.trial_id
        assert run.config["seed"] == trial.parameters["seed"]
        assert run.info["parameters"] == trial.parameters
        assert {type(value) for value in trial.final.values()} <= {int, float}
        assert [metric["epoch"] for metric in trial.intermediate] == [0, 1]
        assert result["arch"] == run.epochs()[-1]["arch"]
        # what NNI shows as the result is the table's accuracy of the derived cell
        truth = table.query(result["arch"])["accuracy"]["cifar10"]["valid"]
        assert trial.final["default"] == pytest.approx(truth, abs=1e-4)
        button = experiment.folder / "trials" / trial.trial_id / "output" / "tensorboard"
        assert list(button.glob("events.*"))
    assert [run.config["seed"] for run in runs] == [1, 2]
    analysis = analysis_of(nni, experiment_id)
    assert [run["seed"] for run in analysis["runs"]] == [1, 2]
    assert {run["status"] for run in analysis["runs"]} == {"finished"}


@pytest.mark.slow
def test_a_mistyped_key_fails_its_trial_with_one_line(nni: NniRunner, tmp_path: Path) -> None:
    experiment_id = nni.create(write_config(tmp_path / "bad.yml", epohcs=[3]))

    watched = nni.cli("watch", experiment_id, "--stop")

    assert watched.returncode == 1
    (trial,) = read(experiment_id).trials
    assert trial.status == "FAILED" and trial.error is not None
    log = (trial.folder / "trial.stderr").read_text()
    assert f"error: {trial.error}" in log.splitlines()
    assert "Traceback" not in log
    for place in (trial.error, watched.stderr.splitlines()[-1]):
        assert "'epohcs'" in place and "epochs" in place
    (run,) = analysis_of(nni, experiment_id, "--allow-failed")["runs"]
    assert run["status"] == "failed"
    assert run["error"].startswith(trial.error[:200])  # the report keeps its lines short


@pytest.mark.slow
def test_a_tuner_that_does_not_exist_is_an_error_of_the_experiment(
    nni: NniRunner, tmp_path: Path
) -> None:
    path = write_config(tmp_path / "tuner.yml")
    config = yaml.safe_load(path.read_text())
    (tmp_path / "no_tuner.py").write_text("class T:\n    pass\n")
    config["tuner"] = {"codeDirectory": str(tmp_path), "className": "no_tuner.Missing"}
    path.write_text(yaml.safe_dump(config))
    experiment_id = nni.create(path)

    watched = nni.cli("watch", experiment_id, "--stop")

    assert watched.returncode == 1
    assert "ended with an error" in watched.stderr and "Missing" in watched.stderr
    assert not read(experiment_id).managed


@pytest.mark.slow
def test_a_killed_trial_failed_beside_one_that_succeeded(nni: NniRunner, tmp_path: Path) -> None:
    experiment_id = nni.create(write_config(tmp_path / "killed.yml", epochs=[ENDLESS, 1]))
    trial_id, process = search_of_epochs(experiment_id, ENDLESS)

    process.kill()

    watched = nni.cli("watch", experiment_id, "--stop")
    cause = f"1 of 2 trials failed: trial 0 ({trial_id}): it was killed, or its machine was lost"
    assert watched.returncode == 1
    assert cause in watched.stderr.splitlines()[-1]
    assert f"{experiment_id}: 1 of 2 trials succeeded" in watched.stdout
    database = read(experiment_id).folder / "db" / "nni.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        query = "select event from TrialJobEvent where trialJobId = ? order by rowid desc"
        # NNI's own word, which is the reason for this test
        assert connection.execute(query, (trial_id,)).fetchone() == ("USER_CANCELED",)
    analysed = nni.cli("analyze", experiment_id, "--json")
    assert analysed.returncode == 1
    assert cause in analysed.stderr and analysed.stderr.count("\n") == 1
    runs = {run["run_id"]: run["status"] for run in json.loads(analysed.stdout)["runs"]}
    assert runs.pop(trial_id) == "failed"
    assert list(runs.values()) == ["finished"]


def search_of_epochs(experiment_id: str, epochs: int) -> tuple[str, psutil.Process]:
    """Wait for the trial that searches for so many epochs; its id and its process."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        experiment = read(experiment_id)
        for trial in experiment.trials:
            info = read_object(trial.folder / "run.json") or {}
            if info.get("config", {}).get("epochs") == epochs:
                return trial.trial_id, process_of(trial.trial_id, experiment.pid)
        time.sleep(0.5)
    raise AssertionError(f"no trial of {epochs} epochs")


def process_of(trial_id: str, manager: int | None) -> psutil.Process:
    """The process that NNI's manager started for a trial."""
    children = psutil.Process(manager).children()
    (found,) = [p for p in children if p.environ().get("NNI_TRIAL_JOB_ID") == trial_id]
    return found


def analysis_of(nni: NniRunner, experiment_id: str, *options: str) -> dict[str, Any]:
    """What `analyze ID --json` prints."""
    answer = nni.cli("analyze", experiment_id, "--json", *options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)
