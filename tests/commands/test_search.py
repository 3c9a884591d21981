"""`search`, `strategies` and `spaces` as a user types them."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.errors import RunError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.runs.result import SearchResult
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.task import ClassificationTask

TINY = ("--epochs", "2", "--set", "channels=4", "--set", "cells=1", "--set", "max_steps=2")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_a_search_prints_every_epoch_and_leaves_a_finished_run(runs: Path) -> None:
    code, output = invoke("search", "--seed", "3", *TINY)
    assert code == 0, output
    (run,) = runs.iterdir()
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    records = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [0, 1]
    for record in records:
        assert f"epoch {record['epoch'] + 1}/2" in output and record["arch"] in output
        assert f"{record['truth']['accuracy']['cifar10']['valid']:.2f} %" in output


def test_options_are_checked_once_and_are_those_of_the_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nni_wiring.search import config, run

    checked, searched = [], []
    make_config = config.make_config

    def counted(values: dict[str, Any]) -> config.RunConfig:
        checked.append(values)
        return make_config(values)

    def found(config: config.RunConfig, folder: RunFolder, **_: Any) -> SearchResult:
        searched.append((config, folder.config))
        return SearchResult(run_id=folder.run_id, arch="|found~0|")

    monkeypatch.setattr(config, "make_config", counted)
    monkeypatch.setattr(run, "run_search", found)
    code, output = invoke("search", "--seed", "3", *TINY)
    assert code == 0 and "cell |found~0|" in output
    assert len(checked) == 1
    [(given, kept)] = searched
    assert given == make_config(kept) and given.seed == 3 and given.channels == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "npz:absent.npz"), "absent.npz"),
        (("--strategy", "nope"), "'nope' is not known; allowed: darts"),
        (("--set", "chanels=4"), "did you mean 'channels'"),
        (("--set", "channels"), "expected key=value"),
        (("--epochs", "0"), "epochs"),
        (("--set", "batch_size=100000", "--set", "channels=4", "--set", "cells=1"), "100000"),
        (("--seeds", "1,2", "--set", "batch_size=100000", "--set", "channels=4"), "100000"),
        (("--seeds", "1,2", "--data", "npz:absent.npz"), "absent.npz"),
        (("--seeds", "1,2", "--set", "device=tpu"), "device"),
        (("--seeds", "1,2,1"), "1 is given twice"),
        (("--seeds", "1,b"), "'b' is not a whole number"),
        (("--seeds", ""), "whole number"),
        (("--set", "seeds=[]"), "not empty"),
        (("--set", "seeds=3"), "must be a list"),
        (("--seeds", "1,2", "--seed", "1"), "seed and seeds"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    runs: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, output = invoke("search", *arguments)
    lines = [line for line in output.splitlines() if not line.startswith("run ")]
    assert code == 1
    assert len(lines) == 1 and lines[0].startswith("error: ") and words in lines[0]
    assert not runs.exists() or not list(runs.iterdir())


def test_resume_takes_no_other_option(runs: Path) -> None:
    assert invoke("search", "--resume", "x", "--epochs", "3")[0] == 2
    assert invoke("search", "--resume", "x", "--seeds", "1,2")[0] == 2
    assert invoke("search", "--resume", "x", "--set", "seeds=[1,2]")[0] == 2


def test_ctrl_c_ends_in_one_line_and_the_run_can_be_resumed(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = WiringMonitor.on_train_epoch_start

    def interrupt(self: WiringMonitor, trainer: object, module: object) -> None:
        if trainer.current_epoch == 1:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        finish(self, trainer, module)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(WiringMonitor, "on_train_epoch_start", interrupt)
        code, output = invoke("search", *TINY)
    (run,) = runs.iterdir()
    line = f"interrupted; go on with:  python cli.py search --resume {run.name}"
    assert code == 130 and output.splitlines()[-1] == line
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    code, output = invoke("search", "--resume", run.name)
    assert code == 0, output
    assert len((run / "epochs.jsonl").read_text().splitlines()) == 2
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def results_of(runs: Path) -> dict[int, dict[str, Any]]:
    """result.json by seed."""
    found = [json.loads(path.read_text()) for path in runs.glob("*/result.json")]
    return {result["config"]["seed"]: result for result in found}


def true_accuracy(result: dict[str, Any]) -> float:
    return result["truth"]["accuracy"]["cifar10"]["valid"]


def test_several_seeds_are_as_many_runs_and_a_summary(runs: Path) -> None:
    code, output = invoke("search", "--seeds", "3,1,2", *TINY)
    assert code == 0, output
    results = results_of(runs)
    assert sorted(results) == [1, 2, 3]
    for seed, result in results.items():
        folder = runs / result["run_id"]
        info = json.loads((folder / "run.json").read_text())
        assert info["status"] == "finished" and info["config"]["seed"] == seed
        assert "seeds" not in info["config"] and info["threads"] >= 1
        assert f"run {result['run_id']} in {folder}" in output
        for number in (1, 2):
            assert len(re.findall(rf"^seed {seed}  epoch {number}/2 ", output, re.MULTILINE)) == 1
        line = f"seed {seed}  true cifar10 {true_accuracy(result):.2f} %  cell {result['arch']}"
        assert line in output.splitlines()
    accuracies = [true_accuracy(result) for result in results.values()]
    mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
    assert f"cifar10: {mean:.2f} +- {deviation:.2f} %" in output and "3 seeds" in output
    names = [results[seed]["run_id"] for seed in (3, 1, 2)]
    assert output.splitlines()[-1] == f"compare them:  python cli.py compare {' '.join(names)}"
    code, compared = invoke("compare", *names, "--json")
    assert code == 0 and [row["runs"] for row in json.loads(compared)["summary"].values()] == [3]


def test_several_seeds_as_json_with_one_that_fails(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = ClassificationTask.training_step

    def training_step(self: ClassificationTask, batch: Any, batch_idx: int) -> Any:
        if self.config.seed == 2:
            raise RunError("the search diverged")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ClassificationTask, "training_step", training_step)
    done = CliRunner().invoke(main, ("search", "--set", "seeds=[1,2,3]", *TINY, "--json"))
    assert done.exit_code == 1
    printed, results = json.loads(done.stdout), results_of(runs)
    assert printed["runs"] == [results[1], results[3]] and sorted(results) == [1, 3]
    (failed,) = printed["failed"]
    assert (failed["seed"], failed["error"]) == (2, "the search diverged")
    accuracies = [true_accuracy(result) for result in printed["runs"]]
    assert printed["true_valid_accuracy"] == {
        "mean": pytest.approx(statistics.mean(accuracies)),
        "std": pytest.approx(statistics.stdev(accuracies)),
        "n": 2,
    }
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: seed 2 ({failed['run_id']}): the search diverged"]
    assert not (runs / failed["run_id"]).exists()  # nothing was searched
    assert "seed 1  epoch 2/2" in done.stderr


def test_ctrl_c_ends_all_seeds(runs: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(root / "cli.py"), "search", "--seeds", "1,2", *TINY[2:]]
    process = subprocess.Popen(
        [*command, "--epochs", "5000"],
        env={**os.environ, "NNI_WIRING_RUNS": str(runs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # where tests run in the background, Ctrl-C is ignored, and processes would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 1/" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    statuses = [json.loads(path.read_text())["status"] for path in runs.glob("*/run.json")]
    assert statuses == ["interrupted"] * 2
    start = "interrupted; go on with:  "
    offered = [line.split()[-1] for line in errors.splitlines() if line.startswith(start)]
    assert sorted(offered) == sorted(run.name for run in runs.iterdir())


def test_ctrl_c_prints_the_command_that_goes_on(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nni_wiring.commands.search.epoch_line", interrupt)
        code, output = invoke("search", *TINY)
    (run,) = runs.iterdir()
    *_, line = output.splitlines()
    assert code == 130
    assert line == f"interrupted; go on with:  python cli.py search --resume {run.name}"
    code, output = invoke(*line.partition("cli.py ")[2].split())
    assert code == 0, output
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    assert "go on with" not in output


def test_lists_are_strict_json() -> None:
    code, output = invoke("strategies", "--json")
    rows = {row["name"]: row for row in json.loads(output)}
    assert code == 0 and rows["darts"]["level"] == "bi_level"
    assert rows["darts"]["relaxation"] == "softmax"
    code, output = invoke("spaces", "--json")
    spaces = {row["name"]: row for row in json.loads(output)}
    assert code == 0 and spaces["nasbench201"]["cells"] == 5**6
    assert spaces["nasbench201_minimal"]["cells"] == 125
    assert not spaces["nasbench201_s4"]["tabulated"]


def test_options_of_a_strategy_are_those_of_its_papers_row() -> None:
    code, output = invoke("strategies", "--options", "darts", "--json")
    options = json.loads(output)
    assert code == 0
    # theory page, section 6, first row: AutoDL's DARTS
    row = {"epochs": 50, "batch_size": 64, "lr": 0.025, "lr_min": 0.001, "weight_decay": 5e-4}
    row |= {"nesterov": True, "clip": 5.0, "alpha_lr": 3e-4, "alpha_weight_decay": 1e-3}
    row |= {"track_stats": False, "affine": False, "channels": 16, "cells": 5, "cutout": 0}
    assert row == {name: options[name] for name in row}
    assert options["alpha_betas"] == [0.5, 0.999]


def test_a_search_that_does_not_compare_says_so_beside_its_truth(runs: Path) -> None:
    code, output = invoke("search", "--seed", "3", *TINY)
    assert code == 0, output
    (note,) = [line for line in output.splitlines() if line.startswith("note: ")]
    assert "NAS-Bench-201; search not comparable: " in note and "digits" in note
    (run,) = runs.iterdir()
    text = b"".join(path.read_bytes() for path in (run / "tensorboard").glob("events.*"))
    assert b"Truth: NAS-Bench-201; search not comparable" in text
