"""`select`: another cell off a finished run, and perturbation inside a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from search_spaces.cell_graph import parse_arch

TINY = {
    "data": "digits",
    "channels": 4,
    "cells": 1,
    "batch_size": 16,
    "epochs": 1,
    "max_steps": 2,
    "supernet": "plain",
}


def search(folder: Path, **changes: Any) -> RunFolder:
    config = make_config({**TINY, **changes})
    run = RunFolder.create(folder, folder.name, config.flat())
    run_search(config, run)
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return search(tmp_path_factory.mktemp("select") / "run")


def select(run: RunFolder, *options: str) -> dict[str, Any]:
    shown = CliRunner().invoke(main, ["select", str(run.path), *options, "--json"])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout)


def test_magnitude_again_is_the_run_s_own_cell(finished: RunFolder) -> None:
    result = select(finished, "--method", "magnitude")
    own = finished.result()
    assert own is not None
    assert result["arch"] == own["arch"]
    assert result["truth"] == own["truth"]


def test_perturbation_stores_every_masked_accuracy(finished: RunFolder) -> None:
    before = finished.result()
    settings = ("--set", "tune_epochs=1", "--set", "max_steps=1", "--set", "batches=2")
    result = select(finished, *settings)
    parse_arch(result["arch"])
    trace = result["details"]["trace"]
    assert len(trace) == 6
    assert all(len(entry["masked"]) == 5 for entry in trace)
    chosen = {entry["edge"]: entry["chosen"] for entry in trace}
    assert result["operations"]["cell"] == chosen
    stored = finished.path / "selections" / "perturbation" / "result.json"
    assert json.loads(stored.read_text()) == result
    assert finished.result() == before  # the run itself stays as it is
    assert select(finished, *settings) == result
    shown = CliRunner().invoke(main, ["select", str(finished.path), *settings], terminal_width=200)
    tied = [", ".join(entry["tie"]) for entry in trace if entry["tie"]]
    assert tied  # 32 images and a supernet of two steps decide little
    said = [line for line in shown.stdout.splitlines() if "a tie:" in line]
    assert said == [f"  a tie: {names} differs by less than its uncertainty" for names in tied]


def test_a_search_that_selects_by_perturbation(finished: RunFolder, tmp_path: Path) -> None:
    """The same supernet, so the same cell as `select` finds without tuning."""
    settings = {"tune_epochs": 0, "batches": 2}
    run = search(tmp_path / "run", selection="perturbation", selection_settings=settings)
    own = run.result()
    assert own is not None and own["selection"] == "perturbation"
    after = select(finished, "--set", "tune_epochs=0", "--set", "batches=2")
    assert own["arch"] == after["arch"]
    assert own["selection_details"]["trace"] == after["details"]["trace"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--method", "nothing"), "selection: 'nothing' is not known"),
        (("--set", "tune_epoch=1"), "tune_epoch"),
        (("--set", "lr=-1"), "lr"),
    ],
)
def test_errors_are_one_line(finished: RunFolder, options: tuple[str, ...], line: str) -> None:
    shown = CliRunner().invoke(main, ["select", str(finished.path), *options])
    assert shown.exit_code == 1
    assert line in shown.stderr
    assert shown.stderr.strip().count("\n") == 0
