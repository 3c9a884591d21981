"""Parts of the trial process; a whole one runs under a real manager in tests/nni."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from owners import contents, held_elsewhere

from nni_wiring.errors import RunError
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.service import trial
from nni_wiring.service.trial import Job, epoch_metric, final_metric, link_for_web_ui, open_run
from nni_wiring.truth import load_table

REPO = Path(__file__).resolve().parents[1]
RECORD = {
    "epoch": 3,
    "loss": {"train": 1.5, "search": math.nan},
    "accuracy": {"train": 50.0, "search": 40.0},
    "topology": {"width": 1.5, "depth": 3, "live_edges": 6, "connected": True},
    "truth": {
        "accuracy": {
            "cifar10": {"valid": 84.25, "test": None},
            "cifar100": {"valid": 55.5, "test": None},
        },
        "regret": {"cifar10": {"valid": 7.36}, "cifar100": {"valid": 18.0}},
        "percentile": {"cifar10": {"valid": 60.0}, "cifar100": {"valid": 40.0}},
    },
}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    output = tmp_path / "exp1" / "environments" / "local-env" / "trials" / "AbCdE"
    output.mkdir(parents=True)
    return Job({"strategy": "darts"}, output, "AbCdE", "exp1", 7)


def test_the_default_metric_is_the_true_accuracy_of_the_data_set() -> None:
    assert epoch_metric(EpochRecord.from_json(RECORD), "cifar10")["default"] == 84.25
    metric = epoch_metric(EpochRecord.from_json(RECORD), "cifar100")
    assert metric["default"] == metric["true_accuracy"] == 55.5
    assert (metric["regret"], metric["percentile"]) == (18.0, 40.0)
    assert (metric["width"], metric["depth"], metric["live_edges"]) == (1.5, 3, 6)


@pytest.mark.parametrize(
    ("changes", "default"),
    [
        ({"truth": None}, 40.0),
        ({"truth": None, "accuracy": {"train": 50.0}}, 50.0),
        ({"truth": None, "accuracy": {"train": math.nan}}, 0.0),
        ({"truth": {"accuracy": {"cifar10": {"valid": None}}}}, 40.0),
    ],
)
def test_without_truth_the_supernet_stands_in(changes: dict, default: float) -> None:
    metric = epoch_metric(EpochRecord.from_json(RECORD | changes), "cifar10")

    assert metric["default"] == default
    assert "true_accuracy" not in metric


def test_metrics_are_strict_json() -> None:
    metric = epoch_metric(EpochRecord.from_json(RECORD | {"truth": None}), "cifar10")

    json.dumps(metric, allow_nan=False)
    assert "search_loss" not in metric
    diverged = EpochRecord(epoch=0, loss={"train": math.nan}, accuracy={"train": math.inf})
    assert epoch_metric(diverged, "cifar10") == {"default": 0.0, "epoch": 0.0}


def test_the_final_metric_is_numbers_that_nnis_page_can_draw(job: Job) -> None:
    run, _ = open_run(job)
    run.append_epoch(RECORD)
    run.write_result({"arch": "|none~0|", "default": 84.25})

    metric = final_metric(run, "cifar10")

    assert metric["default"] == 84.25
    assert {type(value) for value in metric.values()} == {float}


def test_the_final_metric_is_that_of_the_selected_cell_not_of_the_last_epochs(job: Job) -> None:
    run, _ = open_run(job)
    run.append_epoch(RECORD)
    truth = {
        "accuracy": {"cifar10": {"valid": 91.5}},
        "regret": {"cifar10": {"valid": 0.11}},
        "percentile": {"cifar10": {"valid": 99.0}},
    }
    run.write_result({"arch": "|x|", "truth": truth, "topology": {"width": 2.0, "depth": 2}})

    metric = final_metric(run, "cifar10")

    assert metric["default"] == metric["true_accuracy"] == 91.5
    assert (metric["regret"], metric["percentile"]) == (0.11, 99.0)
    assert (metric["width"], metric["depth"], metric["epoch"]) == (2.0, 2.0, 3.0)


def test_reports_are_of_the_data_set_that_the_images_told(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An npz file of 100 classes is told by CIFAR-100 once it was read, which its name cannot."""
    import nni

    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (400, 8, 8, 3), dtype=np.uint8)
    path = tmp_path / "images.npz"
    np.savez(path, train_x=images, train_y=np.arange(400) % 100)
    parameters = {
        **{"data": f"npz:{path}", "channels": 2, "cells": 1, "epochs": 2},
        **{"max_steps": 1, "batch_size": 4},
    }
    reported: list[dict] = []
    final: list[dict] = []
    monkeypatch.setattr(nni, "report_intermediate_result", reported.append)
    monkeypatch.setattr(nni, "report_final_result", final.append)
    monkeypatch.setattr(TensorBoardSink, "_pictures", lambda self, record: {})
    small = replace(job, parameters=parameters)
    run, resumed = open_run(small)
    trial.run_job(small, run, resumed)

    result = run.result()
    assert result is not None
    assert result["truth_dataset"] == RunFolder.open(run.path).truth_dataset == "cifar100"
    query = load_table().query
    expected = [query(record["arch"])["accuracy"]["cifar100"]["valid"] for record in run.epochs()]
    assert [metric["default"] for metric in reported] == expected
    assert final[0]["default"] == query(result["arch"])["accuracy"]["cifar100"]["valid"]
    json.dumps(final, allow_nan=False)


def test_the_web_ui_finds_the_logs_through_a_link(job: Job, tmp_path: Path) -> None:
    link_for_web_ui(job)
    link_for_web_ui(job)  # a resumed trial does it again
    (job.output / "tensorboard").mkdir()

    # where NNI 3.0's TensorBoard button looks
    shown = tmp_path / "exp1" / "trials" / "AbCdE" / "output" / "tensorboard"
    assert shown.samefile(job.output / "tensorboard")
    (tmp_path / "exp1").rename(tmp_path / "exp2")  # relative: survives a move
    assert (tmp_path / "exp2" / "trials" / "AbCdE" / "output" / "tensorboard").is_dir()


def test_other_layouts_get_no_link(tmp_path: Path) -> None:
    for output in (tmp_path / "job", tmp_path / "a" / "b" / "c" / "trials" / "AbCdE"):
        output.mkdir(parents=True)
        link_for_web_ui(Job({}, output, "AbCdE", "exp1", 0))
    assert not list(tmp_path.rglob("output"))


def test_a_new_trial_starts_a_run_with_nnis_names(job: Job) -> None:
    info = RunFolder.open(open_run(job)[0].path).info

    assert info["run_id"] == info["trial_id"] == "AbCdE"
    assert (info["experiment_id"], info["parameter_id"]) == ("exp1", 7)
    assert info["config"] == {"strategy": "darts"}


def test_a_resumed_trial_goes_on_with_its_run_and_no_other(job: Job) -> None:
    run, resumed = open_run(job)
    run.append_epoch(RECORD)
    again, resumed_again = open_run(job)

    assert (resumed, resumed_again) == (False, True)
    assert len(again.epochs()) == 1
    with pytest.raises(RunError, match="holds the run AbCdE, not trial Other"):
        open_run(Job({}, job.output, "Other", "exp1", 8))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epohcs": 3}, ["'epohcs'", "epochs"]),
        ({"strategy": "dartz"}, ["strategy", "'dartz'", "allowed", "darts"]),
        ({"strategy": 7}, ["strategy", "7"]),
        ({"batch_size": -4}, ["batch_size", "-4"]),
        ({"space": "nasbench999"}, ["space", "'nasbench999'", "nasbench201"]),
        ({"data": "imagenet"}, ["'imagenet'", "digits"]),
        ({"data": "npz:no/such/file.npz"}, ["no/such/file.npz"]),
        ({"operations": {"0-9": ["none"]}}, ["0-9"]),
        ({"order": 3}, ["order", "3"]),
        ({"seeds": [1, 2]}, ["seeds", "one search", "seed: {_type: choice"]),
    ],
)
def test_a_bad_setting_is_one_line_in_the_log_and_in_run_json(
    job: Job,
    settings: dict,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = replace(job, parameters=settings)
    monkeypatch.setattr(trial, "receive_job", lambda: bad)

    with pytest.raises(SystemExit) as stopped:
        trial.main()

    assert stopped.value.code == 1
    log = capsys.readouterr().err.splitlines()
    (line,) = [line for line in log if line.startswith("error: ")]
    assert all(word in line for word in words), line
    info = RunFolder.open(job.output).info
    assert (info["status"], f"error: {info['error']}") == ("failed", line)
    assert info["parameter_id"] == 7  # so that the analysis can pair it


def test_an_interrupted_trial_says_so(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped_by_nni(job: Job, run: RunFolder, resumed: bool) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(trial, "receive_job", lambda: job)
    monkeypatch.setattr(trial, "run_job", stopped_by_nni)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stopped:
            trial.main()
    finally:
        signal.signal(signal.SIGTERM, before)

    assert stopped.value.code == 130
    assert RunFolder.open(job.output).status == "interrupted"


def test_a_trial_whose_folder_another_process_writes_touches_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "receive_job", lambda: job)
    run, _ = open_run(job)
    with held_elsewhere(run.path) as owner:
        before = contents(run.path)
        with pytest.raises(SystemExit) as stopped:
            trial.main()
        assert contents(run.path) == before
    assert stopped.value.code == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "error: " in text]
    assert f"process {owner.pid} " in line


def test_a_bug_keeps_its_traceback_and_fails_the_run(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(job: Job, run: RunFolder, resumed: bool) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(trial, "receive_job", lambda: job)
    monkeypatch.setattr(trial, "run_job", bug)

    with pytest.raises(ZeroDivisionError):
        trial.main()

    assert RunFolder.open(job.output).info["error"] == "ZeroDivisionError: a bug"


def test_started_by_hand_it_says_what_to_do() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NNI_")}
    answer = subprocess.run(
        [sys.executable, "-m", "nni_wiring.service.trial"],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith("error: not started by NNI")
