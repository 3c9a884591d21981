"""`train` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.runs.store import RunFolder

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
TINY = [f"--set={o}" for o in ("channels=4", "cells=1", "epochs=2", "max_steps=2", "batch_size=8")]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_a_training_is_a_run_that_analyze_and_compare_take(runs: Path) -> None:
    code, output = invoke("train", ARCH, "--seed", "3", *TINY)
    assert code == 0, output
    (path,) = runs.iterdir()
    folder = RunFolder.open(path)
    result = folder.result()
    assert result is not None and folder.status == "finished"
    assert f"test {result['accuracy']['test']:.2f} %" in output
    assert list((path / "tensorboard").glob("events.*"))
    code, output = invoke("analyze", folder.run_id)
    assert code == 0 and "train on nasbench201, data digits, seed 3" in output
    assert ARCH in output
    code, output = invoke("compare", folder.run_id, "--json")
    assert code == 0
    rows = json.loads(output)["metrics"][0]["rows"]
    (own,) = [row for row in rows if row["kind"] == "run"]
    assert own["mean"] == pytest.approx(result["truth"]["accuracy"]["cifar10"]["valid"])


@pytest.mark.parametrize(
    ("space", "more"), [("nasbench201_s2", ()), ("minimal", ()), ("darts", ("--set=cells=3",))]
)
def test_the_cell_that_a_search_found_is_trained(
    runs: Path, space: str, more: tuple[str, ...]
) -> None:
    code, output = invoke("search", "--space", space, *TINY, *more)
    assert code == 0, output
    (path,) = runs.iterdir()
    found = RunFolder.open(path).search_result()
    assert found is not None
    code, output = invoke("train", path.name, *TINY, *more, "--json")
    assert code == 0, output
    trained = json.loads(output[output.index('{"run_id"') :])
    assert trained["config"]["space"] == space and trained["arch"] == found.arch
    for kind, cell in found.cells.items():  # the edges that a genotype leaves out are cut
        edges = trained["cells"][kind]["operations"]
        assert {edge: edges[edge] for edge in cell.operations} == cell.operations
        assert {edges[edge] for edge in set(edges) - set(cell.operations)} <= {"none"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ARCH, "--space", "nasbench201_s2"), "operation 'none' on edge 0-2 is not in space"),
        ((ARCH, "--protocol", "long"), "protocol: 'long' is not known"),
        ((ARCH, "--data", "npz:/nowhere/at/all.npz"), "no such file"),
        (("no-such-run",), "unknown run no-such-run"),
        ((ARCH, "--set", "protocol=darts", "--set", "cutout=0"), "has no reduction cells"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    runs: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, output = invoke("train", *arguments)
    assert code == 1
    (error,) = [line for line in output.splitlines() if not line.startswith("run ")]
    assert error.startswith("error: ") and message in error
    assert not runs.exists() or not list(runs.iterdir())


def test_only_an_unfinished_training_is_resumed(runs: Path) -> None:
    invoke("train", ARCH, *TINY)
    (path,) = runs.iterdir()
    assert "is finished" in invoke("train", "--resume", path.name)[1]
    assert invoke("train", "--resume", path.name, "--seed", "1")[0] == 2
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | {"status": "running", "kind": "search"}))
    assert "is no training" in invoke("train", "--resume", path.name)[1]
