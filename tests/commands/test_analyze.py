"""`analyze` and `compare` as a user calls them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import stats
from synthetic_runs import cell_of, write_run

from nni_wiring.commands import LazyGroup, main
from nni_wiring.commands.compare import compare
from nni_wiring.explain import explain
from nni_wiring.report import html
from nni_wiring.report.sections import Picture, Section
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, Wiring

FINAL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|skip_connect~1|skip_connect~2|"
GROWING = "cccccc ...... c...s. cc.css"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def one_picture_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing all of them for every call takes seconds; the pages have tests of their own."""
    every = html.section_pictures

    def only_cells(section: Section) -> list[Picture]:
        return every(section) if section.name == "cells" else []

    monkeypatch.setattr("nni_wiring.report.html.section_pictures", only_cells)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def test_one_run_for_a_reader(root: Path) -> None:
    run = write_run(root / "r1", GROWING)
    run.tensorboard.mkdir()
    answer = call("r1")
    assert answer.exit_code == 0, answer.output
    for line in (
        "darts on nasbench201, data digits, seed 1, 4 of 4 epochs, finished",
        f"derived cell: {FINAL}",
        "note: searched on digits; the accuracies are those of CIFAR-10 networks of NAS-Bench-201",
        "Growing (P1): All six edges fell to none by epoch 1, then 5 were added back",
        "No collapse: 2 of 5 live edges",
        "8.2 % of random cells are at least as wide",
        f"report: {root / 'r1' / 'report' / 'index.html'}",
        f"tensorboard: {root / 'r1' / 'tensorboard'}",
    ):
        assert line in answer.output
    assert "CIFAR-10 test\tmissing" in answer.output
    assert (root / "r1" / "report" / "index.html").is_file()


def test_json_of_one_run(root: Path) -> None:
    write_run(root / "r1", GROWING)
    answer = call("r1", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout, parse_constant=pytest.fail)
    assert set(found) == {"runs", "summary", "over_runs"}
    [run] = found["runs"]
    assert (run["run_id"], run["strategy"], run["epochs"], run["status"]) == (
        "r1", "darts", 4, "finished",
    )  # fmt: skip
    assert run["arch"] == FINAL
    assert run["truth"] == load_table().query(FINAL)
    assert run["patterns"] == {
        "growing_index": 5,
        "width_preference": None,
        "recovery_epochs": {"0-1": 2, "0-2": 3, "1-2": None, "0-3": 3, "1-3": 2, "2-3": 3},
        "selected_edges": 5,
        "collapse": None,
    }
    # -0.01 * place of edge (1) * place of operation * (1 + last epoch), see write_run
    assert run["cost"]["0-2"] == pytest.approx(
        {
            "none": 0.0,
            "skip_connect": -0.04,
            "nor_conv_1x1": -0.08,
            "nor_conv_3x3": -0.12,
            "avg_pool_3x3": None,
        }
    )
    assert Path(run["report"]).is_file()
    assert found["summary"]["darts"]["accuracy"]["cifar10"]["valid"] == {
        "mean": run["truth"]["accuracy"]["cifar10"]["valid"],
        "std": None,
        "n": 1,
    }


def test_weight_step_costs_stand_in(root: Path) -> None:
    run = write_run(root / "r1")
    run.append_epoch({"epoch": 0, "cost": {"weights": {"mean": {"0-1": {"skip_connect": -2.0}}}}})
    found = json.loads(call("r1", "--json").stdout)
    assert found["runs"][0]["cost"] == {"0-1": {"skip_connect": -2.0}}


def test_several_runs_with_a_failed_an_empty_and_a_running_one(root: Path) -> None:
    for seed in (1, 2):
        write_run(root / f"r{seed}", GROWING, seed=seed)
    write_run(root / "bad", status="failed", error="ConfigError: strategy: 'dartz' is not known")
    write_run(root / "new", status="running")
    write_run(root / "going", "cccccc", status="running", epochs=4)
    answer = call("r1", "r2", "bad", "new", "going")
    assert answer.exit_code == 0, answer.output
    assert "error: ConfigError: strategy: 'dartz' is not known" in answer.output
    assert "note: the run has no epoch yet" in answer.output
    assert "1 of 4 epochs, running" in answer.output
    assert "DrNAS\t\t91.55\t0.00\t\t\tDrNAS table" in answer.output
    assert "mean random cell" in answer.output
    assert f"report over all runs: {root / 'report' / 'index.html'}" in answer.output
    found = json.loads(call("r1", "r2", "bad", "new", "going", "--json").stdout)
    assert [run["report"] is None for run in found["runs"]] == [False, False, True, True, False]
    assert found["runs"][2]["error"].startswith("ConfigError")
    [summary] = found["summary"].values()
    assert (summary["runs"], summary["finished"], summary["failed"]) == (5, 2, 1)


def test_over_the_runs_of_a_method_the_edges_that_lose_the_regret(root: Path) -> None:
    rows = ["ssssss", "sccccc", "ccsccc"]
    for seed, row in enumerate(rows):
        write_run(root / f"r{seed}", row, seed=seed)
    write_run(root / "other", "aaaaaa", strategy="gdas", seed=1)  # alone: no mean
    names = [f"r{seed}" for seed in range(len(rows))]
    told = json.loads(call(*names, "other", "--json").stdout)["over_runs"]
    assert list(told) == ["darts"]
    table = load_table()
    each = [explain(Wiring(NB201, tuple(cell_of(row).values())).arch, table) for row in rows]
    for share in told["darts"]:
        values = [e.shapley for one in each for e in one.edges if e.edge == share["edge"]]
        mean, half = np.mean(values), stats.sem(values) * stats.t.ppf(0.975, 2)
        assert (share["mean"], share["runs"]) == (pytest.approx(mean, abs=1e-6), 3)
        assert share["high"] - share["mean"] == pytest.approx(half, abs=1e-6)
    means = [share["mean"] for share in told["darts"]]
    assert means == sorted(means, reverse=True)
    answer = call(*names, "other")
    assert "darts: share of the regret by edge, cifar10 valid, percent points" in answer.output
    assert f"{told['darts'][0]['edge']}\t{means[0]:.2f}\t[" in answer.output
    page = (root / "report" / "index.html").read_text()
    assert "darts: the regret by edge" in page and f"<td>{means[0]:.2f}</td>" in page


def test_trial_that_left_no_run_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `resolve` makes of an NNI trial that died early: nothing on disk, ids of any form."""
    ids = {"run_id": "../../<x>", "experiment_id": "e", "trial_id": "../../<x>", "parameter_id": 0}
    info = {"status": "failed", "error": "ConfigError: data: 'x' is not known", "config": {}}
    trial = RunFolder(tmp_path / "gone", info | ids)
    monkeypatch.setattr("nni_wiring.commands.analyze.resolve", lambda run_id: [trial])
    answer = call("anything")
    assert answer.exit_code == 0, answer.output
    assert "error: ConfigError: data: 'x' is not known" in answer.output
    assert "unknown on unknown, data unknown, seed unknown, 0 epochs, failed" in answer.output
    assert not (tmp_path / "gone").exists()


def test_same_run_named_twice_counts_once(root: Path) -> None:
    write_run(root / "r1", "cccccc")
    assert len(json.loads(call("r1", root / "r1", "--json").stdout)["runs"]) == 1


def test_out_takes_the_report_elsewhere(root: Path, tmp_path: Path) -> None:
    for name in ("a/r1", "b/r1"):
        (root / name).parent.mkdir(parents=True)
        write_run(root / name, "cccccc")
    answer = call(root / "a/r1", root / "b/r1", "--out", tmp_path / "out", "--json")
    assert answer.exit_code == 0, answer.output
    pages = {run["report"] for run in json.loads(answer.stdout)["runs"]}
    assert pages == {str(tmp_path / "out" / f"{k}-r1" / "index.html") for k in (0, 1)}
    assert (tmp_path / "out" / "index.html").is_file()
    assert not (root / "a/r1/report").exists()


@pytest.mark.parametrize("name", ["analyze", "compare"])
def test_unknown_run_is_one_line(root: Path, name: str) -> None:
    group = LazyGroup(table={name: f"nni_wiring.commands.{name}:{name}:help"}, help="")
    answer = CliRunner().invoke(group, [name, "nothing-like-it"])
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1


def test_full_disk_is_one_line_and_the_run_stays_readable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(root / "r1", "cccccc")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = call("r1")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1
    assert "disk is full" in answer.stderr and list(run.report.iterdir()) == []
    assert call("r1").exit_code == 0


@pytest.mark.parametrize("content", ["", '{"run_id": "r1", "for', "[]"])
def test_empty_and_truncated_folders_are_one_line(root: Path, content: str) -> None:
    run = write_run(root / "r1", "cccccc")
    (run.path / "run.json").write_text(content)
    answer = call(run.path)
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1
    assert "run.json" in answer.stderr


def test_no_argument_is_a_usage_error(root: Path) -> None:
    assert call().exit_code == 2


def test_report_folder_that_leads_elsewhere_is_refused(root: Path, tmp_path: Path) -> None:
    run = write_run(root / "r1", "cccccc")
    (run.path / "report").symlink_to(tmp_path)
    answer = call("r1")
    assert answer.exit_code == 1 and "link" in answer.stderr


def test_compare_prints_one_table_and_draws_one_figure(root: Path) -> None:
    rows = {1: "cccccc", 2: "ssssss"}
    for seed, row in rows.items():
        write_run(root / f"r{seed}", row, seed=seed)
    answer = CliRunner().invoke(compare, ["r1", "r2"])
    assert answer.exit_code == 0, answer.output
    figure = root / "report" / "compare_cifar10_valid.png"
    assert f"figure: {figure}" in answer.output and figure.is_file()
    assert "DARTS\t\t39.77" in answer.output and "best cell\t\t91.61" in answer.output
    answer = CliRunner().invoke(compare, ["r1", "r2", "--json"])
    [metric] = json.loads(answer.stdout)["metrics"]
    [own] = [row for row in metric["rows"] if row["kind"] == "run"]
    truth = load_table().values("cifar10", "valid")
    archs = [RunFolder.open(root / f"r{k}").epochs()[-1]["arch"] for k in (1, 2)]
    values = [float(truth[load_table().index_of(arch)]) for arch in archs]
    assert own["mean"] == pytest.approx(sum(values) / 2, abs=1e-3) and own["runs"] == 2


def test_a_report_needs_neither_torch_nor_nni() -> None:
    code = (
        "import sys\n"
        "import nni_wiring.commands.compare, nni_wiring.report.html, nni_wiring.service.resolve\n"
        "print([name for name in ('torch', 'nni', 'pandas') if name in sys.modules])\n"
    )
    root = Path(html.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
