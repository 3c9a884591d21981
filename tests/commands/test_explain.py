"""`explain` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import load_table
from search_spaces.cell_graph import OPERATIONS, format_arch

ALL_SKIP = format_arch([1] * 6)
REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def parsed(*arguments: object) -> dict:
    answer = call(*arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout, parse_constant=pytest.fail)


def test_json_of_a_cell_has_the_promised_form() -> None:
    found = parsed(ALL_SKIP)
    table = load_table()
    assert found["arch"] == ALL_SKIP
    assert found["accuracy"] == table.query(ALL_SKIP)["accuracy"]["cifar10"]["valid"]
    best = table.optimum("cifar10", "valid")
    assert (found["best"]["arch"], found["best"]["accuracy"]) == (best.arch, best.accuracy)
    shares = [edge["shapley"] for edge in found["edges"]]
    assert sum(shares) == pytest.approx(found["regret"], abs=1e-9)
    for edge in found["edges"]:
        assert edge["operation"] == "skip_connect"
        assert set(edge["choices"]) == set(OPERATIONS)
    assert found["repairs"][0]["changes"] == {"2-3": "nor_conv_3x3"}
    assert parsed(1835) == found  # its index


def test_a_run_for_a_reader(root: Path) -> None:
    write_run(root / "r1", "ssssss sssssc")
    answer = call("r1")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.splitlines()[0].startswith("run r1: |skip_connect~0|+")
    assert "Regret by epoch: 51.84 in 0, 6.45 in 1, least 6.45 in 1" in answer.stdout
    assert "Changes that moved the accuracy most: 2-3 in epoch 1 +45.39." in answer.stdout
    assert "Decided only in the last epoch, 1: nor_conv_3x3" in answer.stdout


def test_several_runs_get_a_mean(root: Path) -> None:
    for name, row in (("a", "ssssss"), ("b", "cssssc"), ("c", "cccccc")):
        write_run(root / name, row)
    found = parsed("a", "b", "c")
    assert [one["run_id"] for one in found["explanations"]] == ["a", "b", "c"]
    mean = sum(one["regret"] for one in found["explanations"]) / 3
    assert sum(share["mean"] for share in found["over_runs"]) == pytest.approx(mean)
    text = call("a", "b", "c").stdout
    assert "points of the regret on average over 3 runs (95 % interval" in text


def test_a_folder_named_like_an_index_is_the_run(root: Path) -> None:
    write_run(root / "1835", "cccccc")
    assert parsed("1835")["run_id"] == "1835"


def test_the_metric_can_be_chosen(root: Path) -> None:
    write_run(root / "r1", "ssssss")
    found = parsed("r1", "--dataset", "imagenet16", "--benchmark", "bundled")
    assert (found["dataset"], found["table"]) == ("imagenet16", "bundled")
    assert found["accuracy"] == load_table().query(ALL_SKIP)["accuracy"]["imagenet16"]["valid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such"], "unknown run no-such"),
        ([""], "the run id is empty"),
        (["16000"], "cell index 16000 does not exist; allowed: 0..15624"),
        (["|none~0|"], "1 node(s) where 3 belong"),
        (
            ["3", "--dataset", "mnist"],
            "unknown data set 'mnist' of NAS-Bench-201; allowed: cifar10",
        ),
        (["3", "--split", "test"], "has no accuracy cifar10/test"),
        (["3", "--benchmark", "none-such"], "no table 'none-such'"),
    ],
)
def test_bad_input_is_one_line(root: Path, arguments: list[str], message: str) -> None:
    answer = call(*arguments)
    assert answer.exit_code == 1
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: ") and message in line


def test_without_the_default_table_a_run_still_gets_its_decisions(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str | None) -> None:
        raise BenchmarkError("it is not installed")

    monkeypatch.setattr("nni_wiring.commands.explain.load_table", missing)
    write_run(root / "r1", "ssssss cccccc")
    answer = call("r1", "--json")
    assert answer.exit_code == 0
    assert "warning: no truth table: it is not installed" in answer.stderr
    found = json.loads(answer.stdout)
    assert found["accuracy"] is None and found["best"] is None
    assert [edge["decision"]["since"] for edge in found["edges"]] == [1] * 6
    assert call("3").stderr.splitlines()[-1].startswith("error: a cell without a run")


def test_explaining_imports_neither_torch_nor_nni() -> None:
    code = (
        "import sys\n"
        "from nni_wiring.commands import main\n"
        "main(['explain', '3'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'nni', 'pandas', 'matplotlib') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
