"""Explanations of runs: epochs, several runs, spaces without truth, and the sentences."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic_runs import cell_of, record, write_run

from nni_wiring.errors import BenchmarkError, RunError
from nni_wiring.explain import MeanShare, explain, over_runs, over_runs_sentences, sentences
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import NB201, Wiring

ROWS = "ssssss sssssc cssssc cssss1 cssss1"


def arch_of(row: str) -> str:
    return Wiring(NB201, tuple(cell_of(row).values())).arch


def test_regret_of_every_epoch_and_which_edge_moved_it(tmp_path: Path, bundled: TruthTable) -> None:
    found = explain(write_run(tmp_path / "r", ROWS), bundled)
    regret = bundled.regret("cifar10", "valid")
    accuracy = bundled.values("cifar10", "valid").astype(float)
    assert [step.epoch for step in found.epochs] == [0, 1, 2, 3, 4]
    for step, row in zip(found.epochs, ROWS.split(), strict=True):
        index = bundled.index_of(arch_of(row))
        assert step.arch == arch_of(row)
        assert step.regret == pytest.approx(regret[index], abs=1e-9)
    moved = [set(step.moves or ()) for step in found.epochs]
    assert moved == [set(), {"2-3"}, {"0-1"}, {"2-3"}, set()]
    for before, after in zip(found.epochs, found.epochs[1:], strict=False):
        change = accuracy[bundled.index_of(after.arch)] - accuracy[bundled.index_of(before.arch)]
        assert sum((after.moves or {}).values()) == pytest.approx(change, abs=1e-4)


def test_several_changes_in_one_epoch_share_its_gain(tmp_path: Path, bundled: TruthTable) -> None:
    start, end = arch_of("ssssss"), arch_of("csss.c")
    found = explain(write_run(tmp_path / "r", "ssssss csss.c"), bundled)
    moves = found.epochs[1].moves or {}
    assert set(moves) == {"0-1", "1-3", "2-3"}
    values = bundled.values("cifar10", "valid").astype(float).round(4)
    gain = values[bundled.index_of(end)] - values[bundled.index_of(start)]
    assert math.fsum(moves.values()) == pytest.approx(gain, abs=1e-9)


def test_a_run_is_explained_by_the_cell_that_its_selection_took(
    tmp_path: Path, bundled: TruthTable
) -> None:
    result = {"arch": arch_of("cccccc"), "truth_dataset": "cifar100", "data_note": "a remark"}
    found = explain(write_run(tmp_path / "r", ROWS, result=result), bundled)
    assert (found.arch, found.dataset) == (arch_of("cccccc"), "cifar100")
    assert any("selection after the search took another cell" in note for note in found.notes)
    assert "a remark" in found.notes
    text = "\n".join(sentences(found))
    assert "The cell has nor_conv_3x3, not the operation with the largest alpha." in text


def test_the_runs_own_data_set_is_the_default(tmp_path: Path, bundled: TruthTable) -> None:
    run = write_run(tmp_path / "r", ROWS, data="imagenet16")
    assert explain(run, bundled).dataset == "imagenet16"
    assert explain(run, bundled, dataset="cifar100").dataset == "cifar100"
    assert explain(write_run(tmp_path / "q", ROWS, data="mine"), bundled).dataset == "cifar10"


def foreign_run(folder: Path) -> RunFolder:
    """A run of two kinds of cell whose operations no benchmark has."""
    run = RunFolder.create(folder, folder.name, {"space": "darts", "data": "digits"})
    for epoch in range(2):
        alpha = {"sep_conv_3x3": 0.1, "noise\x1b[31m": 0.0 if epoch else 0.2}
        edges = ("normal/0-2", "reduce/0-2")
        cells = {"normal": {"kind": "normal", "operations": {"0-2": "sep_conv_3x3"}}}
        run.append_epoch({"epoch": epoch, "alpha": dict.fromkeys(edges, alpha), "cells": cells})
    run.set_status("finished")
    return run


def test_a_run_without_truth_gets_the_decisions(tmp_path: Path, bundled: TruthTable) -> None:
    found = explain(foreign_run(tmp_path / "r"), bundled)
    assert [edge.edge for edge in found.edges] == ["normal/0-2", "reduce/0-2"]
    assert [edge.operation for edge in found.edges] == ["sep_conv_3x3", None]
    for edge in found.edges:
        assert edge.decision is not None
        assert (edge.decision.winner, edge.decision.since) == ("sep_conv_3x3", 1)
        assert (edge.shapley, edge.best_operation, dict(edge.choices)) == (None, None, {})
    assert (found.accuracy, found.best, found.repairs, found.epochs) == (None, None, (), ())
    assert any("no benchmark holds its truth" in note for note in found.notes)
    text = "\n".join(sentences(found))
    assert "\x1b" not in text and "Decided only in the last epoch, 1: sep_conv_3x3" in text


def test_a_run_without_a_table_gets_the_decisions(tmp_path: Path) -> None:
    found = explain(write_run(tmp_path / "r", ROWS), None)
    assert found.arch == arch_of("cssss1") and found.accuracy is None
    assert [edge.decision.since for edge in found.edges if edge.decision] == [2, 0, 0, 0, 0, 3]


def test_a_run_that_goes_on_is_said_to(tmp_path: Path, bundled: TruthTable) -> None:
    found = explain(write_run(tmp_path / "r", ROWS, status="running"), bundled)
    assert any("the run is running" in note for note in found.notes)


def test_a_run_without_epochs_is_one_line(tmp_path: Path, bundled: TruthTable) -> None:
    with pytest.raises(RunError, match=r"run r has no epoch yet"):
        explain(write_run(tmp_path / "r"), bundled)


def test_worst_edge_first_in_words(tmp_path: Path, bundled: TruthTable) -> None:
    lines = sentences(explain(write_run(tmp_path / "r", "ssssss"), bundled))
    starts = [line.split(":")[0] for line in lines if not line.startswith("    ")]
    edges = [start for start in starts if start.endswith("skip_connect")]
    assert edges == [f"{edge} skip_connect" for edge in ("0-1", "2-3", "1-3", "0-2", "1-2", "0-3")]
    text = "\n".join(lines)
    assert "0-1 skip_connect: costs 12.61 of the 51.84 points; the best cell has nor_conv_3x3" in (
        text
    )
    assert "All else equal: nor_conv_3x3 84.40 (+44.63), nor_conv_1x1 83.83 (+44.06), none " in text
    assert "0-3 skip_connect: as in the best cell, costs nothing." in text
    assert "Best repair of one edge: nor_conv_3x3 on 2-3, 85.16 (+45.39)." in text


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (-0.5, "Its local cost was lower than the runner-up's (confidence that it is lower: > 99"),
        (-0.001, "A tie, within the uncertainty of its local cost (confidence that it is lower: 5"),
        (0.5, "Against its local cost, which was the higher"),
    ],
)
def test_a_decision_within_its_uncertainty_is_called_a_tie(
    cost: float, said: str, tmp_path: Path, bundled: TruthTable
) -> None:
    def table(skip: float, other: float) -> dict[str, dict[str, float]]:
        row = {"none": other, "skip_connect": skip}
        return dict.fromkeys(NB201.edge_names, row)

    run = RunFolder.create(tmp_path / "r", "r", {"data": "digits"})
    for epoch in range(3):
        line: dict[str, Any] = {"epoch": epoch, "arch": arch_of("ssssss")}
        line["alpha"] = table(0.01 * (epoch + 1), 0.0)
        line["z"] = table(0.2025, 0.2002)
        moments = {"mean": table(cost, 0.0), "variance": table(0.1, 0), "count": table(40, 40)}
        line["cost"] = {"alpha": moments}
        run.append_epoch(line)
    run.set_status("finished")
    text = "\n".join(sentences(explain(run, bundled)))
    assert text.count(said) == 6
    assert "skip_connect over none, Z 0.2025 against 0.2002" in text
    assert "nor_conv_3x3 (not in the run's space) 84.40 (+44.63)" in text


def test_the_mean_over_runs_has_students_interval(tmp_path: Path, bundled: TruthTable) -> None:
    rows = ("ssssss", "cssssc", "1c.s1a", "cccccc")
    found = [explain(write_run(tmp_path / row, row), bundled) for row in rows]
    shares = over_runs(found)
    assert [share.edge for share in shares] == list(NB201.edge_names)
    for place, share in enumerate(shares):
        column = np.array([one.edges[place].shapley for one in found], dtype=float)
        low, high = stats.t.interval(0.95, 3, loc=column.mean(), scale=stats.sem(column))
        assert (share.mean, share.low, share.high) == pytest.approx((column.mean(), low, high))
        assert share.runs == 4
    regrets = [one.regret or 0.0 for one in found]
    assert math.fsum(share.mean for share in shares) == pytest.approx(np.mean(regrets))
    lines = over_runs_sentences(shares)
    worst = max(shares, key=lambda share: share.mean)
    assert lines[0].startswith(f"{worst.edge}: {worst.mean:.2f} points of the regret on average")
    held = {share.edge for share in shares if (share.low or 0) <= 0 <= (share.high or 0)}
    assert {line.split(":")[0] for line in lines if "which holds 0" in line} == held


def test_one_run_has_no_interval_and_runs_without_truth_do_not_count(
    tmp_path: Path, bundled: TruthTable
) -> None:
    known = explain(write_run(tmp_path / "a", "ssssss"), bundled)
    unknown = explain(foreign_run(tmp_path / "b"), bundled)
    shares = over_runs([unknown, known])
    assert shares[0] == MeanShare("0-1", known.edges[0].shapley or 0.0, None, None, 1)
    assert over_runs([unknown]) == ()


def test_different_accuracies_have_no_mean(bundled: TruthTable) -> None:
    found = [explain(3, bundled, dataset) for dataset in ("cifar10", "cifar100")]
    with pytest.raises(BenchmarkError, match="different accuracies have no mean"):
        over_runs(found)


def test_a_run_of_0_1_0_is_explained(bundled: TruthTable) -> None:
    folder = Path(__file__).parents[1] / "support" / "run_of_0_1_0"
    found = explain(RunFolder.open(folder), bundled)
    assert found.index == 7860
    lines = (folder / "epochs.jsonl").read_text().splitlines()
    told = [json.loads(line)["truth"]["regret"]["cifar10"]["valid"] for line in lines]
    assert [step.regret for step in found.epochs] == told
    assert all(edge.decision and edge.decision.phase == "alpha" for edge in found.edges)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["index"] == 7860


def test_other_selections_are_judged_epoch_by_epoch(tmp_path: Path, bundled: TruthTable) -> None:
    run = write_run(tmp_path / "r", "")
    for epoch, (own, without_none) in enumerate([("......", "ssssss"), ("cc.ccc", "ccaccc")]):
        archs = {"magnitude": arch_of(own), "magnitude_without_none": arch_of(without_none)}
        run.append_epoch(record(own, epoch) | {"statistics": {"selections": archs}})
    kept = run.path / "selections" / "perturbation"
    kept.mkdir(parents=True)
    (kept / "result.json").write_text(json.dumps({"arch": arch_of("cccccc")}))

    found = explain(run, bundled)
    regret = bundled.regret("cifar10", "valid")
    expected = {
        ("magnitude", 0): "......",
        ("magnitude", 1): "cc.ccc",
        ("magnitude_without_none", 0): "ssssss",
        ("magnitude_without_none", 1): "ccaccc",
        ("perturbation", 1): "cccccc",
    }
    assert {(cell.selection, cell.epoch): cell.arch for cell in found.selections} == {
        key: arch_of(row) for key, row in expected.items()
    }
    for cell in found.selections:
        assert cell.regret == pytest.approx(regret[bundled.index_of(cell.arch)], abs=1e-4)
    text = "\n".join(sentences(found))
    assert "magnitude_without_none: " + arch_of("ccaccc") in text
    assert "perturbation: " + arch_of("cccccc") in text
    assert "magnitude: " not in text  # the run's own cells throughout
    assert json.loads(json.dumps(found.to_json()))["selections"][0]["selection"] == "magnitude"


def test_selections_of_a_foreign_record_are_left_out(tmp_path: Path, bundled: TruthTable) -> None:
    run = write_run(tmp_path / "r", "")
    foreign = {"magnitude": "no cell", "b": 3, "c": None}
    run.append_epoch(record("cccccc", 0) | {"statistics": {"selections": foreign}})
    assert explain(run, bundled).selections == ()
