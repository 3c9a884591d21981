"""Mean and spread by strategy, by hand and against the standard library."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from synthetic_runs import write_run

from nni_wiring.report.analysis import RunAnalysis, analyse_run
from nni_wiring.report.comparison import compare, comparison_rows
from nni_wiring.report.sections import run_json
from nni_wiring.report.summary import (
    Spread,
    spread,
    strategy_labels,
    summarise,
    summary_json,
)
from nni_wiring.truth import load_table, published_rows


def analysed(folder: Path, rows: str, **config: object) -> RunAnalysis:
    return analyse_run(write_run(folder, rows, **config), load_table())


@pytest.fixture
def runs(tmp_path: Path) -> list[RunAnalysis]:
    return [
        analysed(tmp_path / "a", "...... cccccc", seed=1),
        analysed(tmp_path / "b", "...... cc....", seed=2),
        analysed(tmp_path / "c", "ssssss cc.s..", seed=3),
        analysed(tmp_path / "d", "", seed=4, status="failed", error="out of memory", epochs=2),
        analysed(tmp_path / "e", "aaaaaa", seed=1, strategy="random", epochs=2),
    ]


def test_spread_by_hand() -> None:
    assert spread([1.0, 2.0, 4.0]) == Spread(7 / 3, pytest.approx(1.5275252), 3)
    assert spread([5.0, None, float("nan")]) == Spread(5.0, None, 1)
    assert spread([]) is None


def test_summary_by_strategy(runs: list[RunAnalysis]) -> None:
    found = summarise(runs)
    assert list(found) == ["darts", "random"]
    darts = found["darts"]
    assert (darts.runs, darts.finished, darts.failed) == (4, 3, 1)
    truth = load_table().values("cifar10", "valid")
    values = [float(truth[load_table().index_of(run.arch)]) for run in runs[:3] if run.arch]
    accuracy = darts.accuracy("cifar10", "valid")
    assert accuracy is not None and accuracy.n == 3
    assert accuracy.mean == pytest.approx(statistics.mean(values), abs=1e-3)
    assert accuracy.std == pytest.approx(statistics.stdev(values), abs=1e-3)
    assert darts.accuracy("cifar10", "test") is None  # the bundled table lacks it
    # growing indices: 6 - 0, 2 - 0, 3 - 3; selected edges: 6, 2, 3
    assert darts.growing_index == Spread(pytest.approx(8 / 3), pytest.approx(3.0550505), 3)
    assert darts.selected_edges == Spread(pytest.approx(11 / 3), pytest.approx(2.0816660), 3)
    assert darts.collapse == {
        "none": 1,
        "skip": 1,
        "pooling": 0,
        "no parameters": 0,
    }  # c: 0-3 alone; b: nothing reaches node 3
    assert found["random"].accuracy("cifar10", "valid").std is None  # type: ignore[union-attr]


def test_variants_of_a_strategy_are_kept_apart(tmp_path: Path) -> None:
    runs = [
        analysed(tmp_path / f"r{order}{seed}", "cccccc", order=order, seed=seed)
        for order in (1, 2)
        for seed in (1, 2)
    ]
    assert strategy_labels(runs) == ["darts (order=1)"] * 2 + ["darts (order=2)"] * 2
    assert {one.runs for one in summarise(runs).values()} == {2}


def test_tuned_number_is_no_variant(tmp_path: Path) -> None:
    runs = [analysed(tmp_path / f"r{k}", "cccccc", alpha_lr=k / 10) for k in range(6)]
    assert set(strategy_labels(runs)) == {"darts"}


def test_comparison_has_published_rows_of_the_same_metric(runs: list[RunAnalysis]) -> None:
    [one] = compare(runs)
    assert (one.dataset, one.split) == ("cifar10", "valid")
    rows = comparison_rows(runs, one)
    kinds = [row.kind for row in rows]  # the runs saw digits: apart from the published searches
    assert kinds == sorted(kinds, key=["reference", "published", "run"].index)
    for kind in ("reference", "published", "run"):
        means = [row.mean for row in rows if row.kind == kind]
        assert means and means == sorted(means, reverse=True)
    expected = {r.method: r.mean for r in published_rows("cifar10") if r.split == "valid"}
    assert {row.label: row.mean for row in rows if row.kind == "published"} == expected
    assert expected["DARTS"] == 39.77
    table = load_table()
    references = {row.label: row.mean for row in rows if row.kind == "reference"}
    assert references["best cell"] == pytest.approx(91.6067, abs=1e-3)
    assert references["mean random cell"] == pytest.approx(
        float(table.values("cifar10", "valid").astype(float).mean())
    )
    assert {row.label: row.runs for row in rows if row.kind == "run"} == {"darts": 3, "random": 1}


def test_json_keys_are_the_contract(runs: list[RunAnalysis]) -> None:
    found = run_json(runs[0], "report/index.html")
    contract = {
        "run_id", "strategy", "space", "data", "seed", "epochs", "status", "arch", "truth",
        "topology", "patterns", "cost", "report",
    }  # fmt: skip
    added = {"error", "notes", "cells", "provenance", "decisions", "explanation", "speed"}
    assert set(found) == contract | added
    assert set(found["patterns"]) == {
        "growing_index", "width_preference", "recovery_epochs", "selected_edges", "collapse",
    }  # fmt: skip
    assert found["patterns"]["recovery_epochs"] == dict.fromkeys(
        ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"], 1
    )
    assert set(summary_json(summarise(runs))) == {"darts", "random"}
