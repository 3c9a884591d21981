"""`benchmark build`, `merge` and `info` as a user types them, and a search judged by the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_truths import NINE, TRAINING, images, listed

from nni_wiring.commands import main
from nni_wiring.truth.catalogue import forget

FEW = NINE[1:4]
SETTINGS = [f"--set={name}={value}" for name, value in TRAINING.items()]
SMALL = [f"--set={o}" for o in ("channels=2", "cells=1", "batch_size=6", "epochs=1")]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    yield
    forget()


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def ok(*arguments: str) -> str:
    code, output = invoke(*arguments)
    assert code == 0, output
    return output


def parsed(output: str) -> Any:
    return json.loads(output[output.index("{") :])


def build(tmp_path: Path, *more: str, space: str = "nasbench201") -> list[str]:
    given = ["benchmark", "build", "--space", space, "--data", images(tmp_path), "--name", "mine"]
    return [*given, "--cells", listed(tmp_path, FEW), *SETTINGS, *more]


def test_a_truth_is_built_and_judges_a_search(tmp_path: Path) -> None:
    command = build(tmp_path)
    output = ok(*command)
    assert "table mine: 3 cells from 3 trainings (0 diverged)" in output
    assert "grey/valid@1, grey/test@1, grey/valid@2" in output
    told = ok("benchmark", "info", "mine")
    assert "grey: after 1, 2, 3 epochs (points of one training), C=2, N=1" in told
    assert "seed 1: 3 of 3 trainings" in told and "missing 0:" in told
    rows = json.loads(ok("benchmark", "top", "--benchmark", "mine", "-k", "3", "--json"))
    assert {row["arch"] for row in rows} == set(FEW)
    # only the three listed cells can be found: one edge is searched
    edges = {e: ["none"] for e in ("0-1", "0-2", "1-2", "1-3", "2-3")}
    chosen = ["nor_conv_1x1", "skip_connect", "avg_pool_3x3"]
    operations = json.dumps({**edges, "0-3": chosen})
    given = ["--data", images(tmp_path), "--set=benchmark=mine", *SMALL]
    ok("search", "--strategy", "random_sampling", *given, f"--set=operations={operations}")
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    assert result["truth"]["benchmark"] == "mine" and result["truth_dataset"] == "grey"
    accuracy = {row["arch"]: row["accuracy"] for row in rows}
    assert result["truth"]["accuracy"]["grey"]["valid"] == accuracy[result["arch"]]
    text = ok("analyze", run.name)
    assert "mine" in text
    ok("explain", run.name)
    assert parsed(ok(*command, "--json"))["trained"] == 0  # nothing is left to do


def test_slices_are_built_and_merged(tmp_path: Path) -> None:
    assert "1/2 is done; 1 of 3 trainings" in ok(*build(tmp_path, "--slice", "1/2"))
    code, output = invoke("benchmark", "merge", "mine")
    assert code == 1 and "table 'mine' is not complete: 1 of 3 trainings are missing" in output
    assert "no table yet" in ok("benchmark", "info", "mine")
    found = parsed(ok("benchmark", "info", "mine", "--json"))
    assert found["build"]["missing"] == [FEW[0]]  # the middle one by number
    ok("benchmark", "merge", "mine", "--partial")
    assert parsed(ok("benchmark", "info", "mine", "--json"))["table"]["info"]["cells"] == 2
    assert "table mine: 3 cells" in ok(*build(tmp_path, "--slice", "2/2"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--slice", "3/2"), "slice '3/2': expected I/N"),
        (("--name", "bundled"), "table name 'bundled' is taken"),
        (("--protocol", "long"), "protocol: 'long' is not known"),
        (("--set", "arch=x"), "arch: no option of a build"),
        (("--data", "npz:gone.npz"), "data 'gone.npz': cannot be read"),
        (("--data", "imagenet16-120", "--set", "data_dir=gone"), "ImageNet16"),
        (("--space", "nasbench201_minimal"), "cells.txt line 3: arch"),
        (("--seeds", "1,1"), "seeds: one of them twice"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_build(
    tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    code, output = invoke(*build(tmp_path, *more))
    (line,) = [line for line in output.splitlines() if "trainings" not in line]
    assert code == 1 and line.startswith("error: ") and message in line
    assert not list((tmp_path / "cache").glob("builds/*"))


def test_other_options_than_those_of_an_interrupted_build_are_refused(tmp_path: Path) -> None:
    ok(*build(tmp_path, "--slice", "1/3"))
    code, output = invoke(*build(tmp_path, "--set", "lr=0.3"))
    assert code == 1
    assert output.strip() == "error: mine: its build has other options: lr 0.1 instead of 0.3"
