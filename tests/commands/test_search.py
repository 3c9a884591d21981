"""`search`, `strategies` and `spaces` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.monitor.callback import WiringMonitor

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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "npz:absent.npz"), "absent.npz"),
        (("--strategy", "nope"), "'nope' is not known; allowed: darts"),
        (("--set", "chanels=4"), "did you mean 'channels'"),
        (("--set", "channels"), "expected key=value"),
        (("--epochs", "0"), "epochs"),
        (("--set", "batch_size=100000", "--set", "channels=4", "--set", "cells=1"), "100000"),
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
    assert code == 130 and output.splitlines()[-1] == "interrupted"
    (run,) = runs.iterdir()
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    code, output = invoke("search", "--resume", run.name)
    assert code == 0, output
    assert len((run / "epochs.jsonl").read_text().splitlines()) == 2
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


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
