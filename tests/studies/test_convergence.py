"""Training curves of rewired pairs: measures by hand, verdicts on made curves, small runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from study_runs import silent_run

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.runs.store import RunFolder
from nni_wiring.studies import training_curves
from nni_wiring.studies.charts import curve_panels
from nni_wiring.studies.convergence import FASTER, STUDY, agreed, judged
from nni_wiring.studies.frame import Row, StudyRun
from nni_wiring.studies.running import run_study
from nni_wiring.studies.sizes import REFERENCE_TRAINING_CLUTTER
from nni_wiring.studies.training_curves import (
    RATES,
    half_time,
    lead,
    log_area,
    rated,
    with_measures,
)
from nni_wiring.studies.trainings import PAIRS, training_config
from nni_wiring.train.batched import CellRow, train_cell
from nni_wiring.train.config import make_train_config
from nni_wiring.train.loop import learning_rate
from nni_wiring.train.run import run_train
from nni_wiring.truth import load_table
from nni_wiring.truth.importer import import_table

#: Batches of 8 are not for the kernels: torch trains, bit for bit as in a run.
TINY: dict[str, Any] = {
    "data": "digits",
    "channels": 4,
    "cells": 1,
    "batch_size": 8,
    "epochs": 2,
    "max_steps": 2,
    "seeds": 1,
    "pairs": 1,
}

#: What a verdict asks for on other data than clutter, in networks as wide as the tabulated ones.
LARGE: dict[str, Any] = {"channels": 16, "epochs": 12, "max_steps": None}


def study_run(path: Path, **changes: Any) -> StudyRun:
    return silent_run(STUDY, path, **{**TINY, **changes})


def row(pair: int, cell: str, seed: int = 1, rate: str = "full", **values: Any) -> Row:
    return {"rate": rate, "pair": pair, "cell": cell, "seed": seed, "arch": f"{pair}", **values}


def test_the_area_is_the_mean_of_the_logarithms() -> None:
    assert log_area([math.e, math.e**2, math.e**6]) == pytest.approx(3.0)
    assert log_area([0.5, 2.0]) == pytest.approx(0.0)
    assert math.isnan(log_area([])) and math.isnan(log_area([1.0, 0.0]))


def test_the_half_time_is_the_first_epoch_below_the_middle() -> None:
    losses = [2.0, 1.5, 1.25, 0.5]
    assert half_time(losses, 2.5, 0.5) == 3  # 1.5 is the middle, not below it
    assert half_time(losses, 3.75, 0.5) == 1
    assert math.isnan(half_time(losses, 1.0, 0.0))
    assert math.isnan(half_time([], 1.0, 0.0))


def test_a_pairs_cells_have_one_mark(tmp_path: Path) -> None:
    """The middle of log 10 and 0.4, the smallest loss of both: 1.351; with its own end the deep
    cell would be there an epoch sooner.
    """
    rows = [
        row(1, "wide", loss=[2.0, 1.0, 0.4], held_out_accuracy=[10.0, 20.0, 30.0]),
        row(1, "deep", loss=[2.2, 1.4, 0.8], held_out_accuracy=[10.0, 20.0, 25.0]),
        row(2, "wide", loss=[], held_out_accuracy=[]),
    ]
    wide, deep, diverged = with_measures(study_run(tmp_path), rows)
    assert (wide["t_half"], deep["t_half"]) == (2, 3)
    assert wide["auc"] == pytest.approx((math.log(2.0) + math.log(0.4)) / 3)
    assert (wide["final"], deep["final"]) == (30.0, 25.0)
    assert all(math.isnan(diverged[name]) for name in ("auc", "t_half", "final"))


def test_a_lead_is_the_wide_cells_mean_over_seeds() -> None:
    rows = [
        row(1, "wide", 1, auc=0.1, t_half=2.0, final=50.0),
        row(1, "deep", 1, auc=0.4, t_half=5.0, final=49.0),
        row(1, "wide", 2, auc=0.2, t_half=3.0, final=50.0),
        row(1, "deep", 2, auc=0.1, t_half=4.0, final=46.0),
        row(1, "wide", 1, "tenth", auc=9.0, t_half=9.0, final=9.0),
    ]
    assert lead(rows, "auc", "full") == {1: pytest.approx((0.3 - 0.1) / 2)}
    assert lead(rows, "t_half", "full") == {1: pytest.approx(2.0)}
    assert lead(rows, "final", "full") == {1: pytest.approx(2.5)}
    rows[0]["auc"] = math.nan
    assert math.isnan(lead(rows, "auc", "full")[1])


@pytest.mark.parametrize("protocol", ["short", "clutter"])
def test_the_rates_are_a_tenth_and_constant(protocol: str) -> None:
    config = make_train_config({"arch": PAIRS[0].wide, "protocol": protocol, "epochs": 3})
    full, tenth, constant = (rated(config, rate) for rate in RATES)
    assert full == config
    places = [(epoch, step) for epoch in range(3) for step in range(5)]
    for place in places:
        now = learning_rate(config, *place, 5)
        assert learning_rate(tenth, *place, 5) == pytest.approx(now / 10, rel=1e-12)
        assert learning_rate(constant, *place, 5) == config.theta.lr
    assert learning_rate(config, 2, 4, 5) < config.theta.lr / 10


def made_study(g: np.random.Generator, faster: float, better: float, pairs: int = 6) -> list[Row]:
    """Losses exp(-k t): wide cells decay faster by ``faster`` and end ``better`` points ahead."""
    rows = []
    for rate in RATES:
        for pair in range(1, pairs + 1):
            k, final = 0.2 + 0.1 * g.random(), 60 + 10 * g.random()
            for cell, sign in (("wide", 1), ("deep", -1)):
                decay = k + sign * faster / 2 + 0.004 * g.standard_normal()
                losses = 2.3 * np.exp(-decay * np.arange(1, 11))
                accuracy = final + sign * better / 2 + 0.1 * g.standard_normal()
                measures = {"auc": log_area(losses.tolist()), "final": accuracy}
                rows.append(row(pair, cell, rate=rate, **measures))
    return rows


def verdicts(run: StudyRun, rows: list[Row]) -> list[str]:
    return [verdict.verdict for verdict in judged(run, rows)]


def test_a_made_effect_is_seen_and_none_seldom(tmp_path: Path) -> None:
    run = study_run(tmp_path, **LARGE)
    g = np.random.default_rng(0)
    seen = [verdicts(run, made_study(g, 0.02, 0.0)) for _ in range(20)]
    assert np.mean([v == ["holds"] * 6 for v in seen]) >= 0.8
    fooled = sum(
        "holds" in verdicts(run, made_study(g, 0.0, 5.0)) for _ in range(200)
    )  # alike in speed, five points apart in the end
    assert stats.binomtest(fooled, 200, 0.05, alternative="greater").pvalue > 0.01


def test_an_end_that_differs_does_not_hold(tmp_path: Path) -> None:
    run = study_run(tmp_path, **LARGE)
    rows = made_study(np.random.default_rng(1), -0.05, 3.0)
    assert verdicts(run, rows) == ["does not hold"] * 6


@pytest.mark.parametrize(
    ("changes", "margin", "small"),
    [
        ({}, 2.0, "4 channels, 2 epochs, 2 steps an epoch"),
        ({**LARGE, "channels": 7}, 2.0, "7 channels"),
        ({**LARGE, "epochs": 11}, 0.5, "11 epochs"),
        ({**LARGE, "channels": 8}, 2.0, None),
        (LARGE, 0.5, None),
        ({**REFERENCE_TRAINING_CLUTTER, "max_steps": None}, 2.0, None),
        ({**REFERENCE_TRAINING_CLUTTER, "max_steps": None, "epochs": 5}, 2.0, "5 epochs"),
    ],
)
def test_small_trainings_give_no_verdict_and_narrow_ones_the_wider_margin(
    tmp_path: Path, changes: dict[str, Any], margin: float, small: str | None
) -> None:
    rows = made_study(np.random.default_rng(2), 0.02, 0.0)
    found = judged(study_run(tmp_path, **changes), rows)
    assert [verdict.minimum for verdict in found[3:]] == [margin] * 3
    expected = "holds" if small is None else "cannot be said"
    assert {verdict.verdict for verdict in found} == {expected}
    for verdict in found:
        assert (f"no verdict: small, {small} (the rule" in verdict.evidence) == bool(small)
    leads = lead(rows, "auc", "tenth").values()
    assert found[1].effect == pytest.approx(np.mean(list(leads)))


def test_too_few_pairs_that_agree_hold_in_part() -> None:
    six, five = [0.3] * 6 + [-0.01] * 2, [0.3] * 5 + [-0.01, -0.001, -0.002]
    for leads, expected in ((six, "holds"), (five, "holds in part")):
        verdict = FASTER.judge(leads)
        assert verdict.verdict == "holds"
        assert agreed(verdict, leads).verdict == expected


def test_the_curves_are_those_of_a_run_of_train(tmp_path: Path) -> None:
    run = study_run(tmp_path / "study", rates=["tenth"])
    rows = training_curves.trainings(run)
    config = training_config(run, arch=PAIRS[0].deep, seed=1, protocol="short", eval_epochs=None)
    folder = RunFolder.create(tmp_path / "run", "own", config.flat())
    run_train(rated(config, "tenth"), folder)
    records = folder.records()
    deep = next(found for found in rows if found["cell"] == "deep")
    assert not deep["kernels"]
    assert deep["loss"] == [record.loss["train"] for record in records]
    for name, kind in (("held_out_loss", "loss"), ("held_out_accuracy", "accuracy")):
        parts = [getattr(record, kind) for record in records]
        assert deep[name] == pytest.approx([(p["valid"] + p["test"]) / 2 for p in parts])


def test_the_cells_of_a_placebo_learn_alike(tmp_path: Path) -> None:
    run = study_run(tmp_path, epochs=1, max_steps=4)
    curves = []
    for pair in (PAIRS[6], PAIRS[0]):
        losses = []
        for arch in pair[:2]:
            config = training_config(run, arch=arch, seed=1, eval_epochs=None)
            losses.append(train_cell(config).loss_at[1]["train"])
        curves.append(losses)
    assert curves[0][0] == pytest.approx(curves[0][1], abs=1e-4)
    assert abs(curves[1][0] - curves[1][1]) > 1e-3


def test_the_tables_leads_stand_beside(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tabulated(config: Any, data: Any) -> CellRow:
        """Accuracies as tabulated after 200 epochs: the rank correlation is 1."""
        table = load_table("bundled")
        final = float(table.values("cifar10", "valid")[table.index_of(config.training.arch)])
        held_out = {"train": 99.0, "test": final}
        return CellRow(config.training.arch, 1, {1: held_out}, {1: {"train": 1.0, "test": 1.0}})

    monkeypatch.setattr(training_curves, "train_cell", tabulated)
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    options = {**TINY, "pairs": 6, "rates": ["full"]}
    result = run_study(STUDY, STUDY.options(options), tmp_path / "bundled")
    for line in result["tables"][0]["rows"]:
        assert line[4] == pytest.approx(line[6], abs=1e-4)  # the study's own lead is the table's
        assert line[5] is None  # no 12-epoch trainings
    assert result["tables"][2]["rows"] == [["lr", 12, None, pytest.approx(1.0)]]
    import_table(shared_data / "nb201_truth.csv.gz", "with-12", make_default=False)
    named = STUDY.options({**options, "benchmark": "with-12"})
    lines = run_study(STUDY, named, tmp_path / "imported")["tables"][0]["rows"]
    expected = [5.3, 6.5, -0.6, 0.3, 16.9, 3.1]  # from the design's list, in the order of PAIRS
    assert [line[5] for line in lines] == pytest.approx(expected, abs=0.11)


def test_kernels_and_torch_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = iter([True, False])

    def trained(config: Any, data: Any) -> CellRow:
        figures = {1: {"train": 1.0, "test": 1.0}}
        return CellRow(config.training.arch, 1, figures, figures, compact=next(kinds))

    monkeypatch.setattr(training_curves, "train_cell", trained)
    with pytest.raises(RunError, match="some cells were trained on the kernels"):
        training_curves.trainings(study_run(tmp_path, rates=["full"]))


def test_a_training_that_diverges_leaves_its_pair_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(config: Any, data: Any) -> CellRow:
        if config.training.arch == PAIRS[0].wide:
            return CellRow(config.training.arch, 1, error="the training diverged")
        figures = {epoch: {"train": 2.0 / epoch, "test": 1.0} for epoch in (1, 2)}
        return CellRow(config.training.arch, 1, figures, figures)

    monkeypatch.setattr(training_curves, "train_cell", diverges)
    options = STUDY.options({**TINY, "pairs": 2, "rates": ["full"]})
    result = run_study(STUDY, options, tmp_path / "study")
    pairs, leads, _, cells = (table["rows"] for table in result["tables"])
    assert [line[2] for line in pairs] == [None, 0.0]
    assert leads[0][2] == 0.0 and leads[0][5] == "0 of 1"
    assert [line[-1] for line in cells] == ["the training diverged", "", "", ""]
    assert result["verdicts"][0]["n"] == 1


def test_a_panel_a_pair_with_both_curves() -> None:
    curves = {f"pair {k}": {"wide": [2.0, 1.0], "deep": [2.0, 1.5]} for k in range(1, 5)}
    figure = curve_panels(curves, "title", "nats", "epoch")
    drawn = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title() for axes in drawn] == list(curves)
    for axes in drawn:
        assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 1.0], [2.0, 1.5]]
        assert list(axes.lines[0].get_xdata()) == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": 9}, "pairs=9; allowed: 1 to 8"),
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"rates": ["half"]}, "allowed, each once: full, tenth, constant"),
        ({"rates": ["full", "full"]}, "allowed, each once"),
        ({"rates": []}, "allowed, each once"),
        ({"strategy": "gdas"}, "strategy is no option of a training"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    options = STUDY.options({**TINY, **changes})
    with pytest.raises(ConfigError, match=message):
        run_study(STUDY, options, tmp_path)
    assert not (tmp_path / "parts").exists()


@pytest.mark.slow
def test_an_interrupted_study_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = study_run(tmp_path, rates=["full", "tenth"]).options
    whole = run_study(STUDY, options, tmp_path / "whole")
    original, started = training_curves.train_cell, []

    def stop_at_the_third(config: Any, data: Any) -> CellRow:
        started.append((config.theta.lr, config.training.arch))
        if len(started) == 3:
            raise KeyboardInterrupt
        return original(config)

    monkeypatch.setattr(training_curves, "train_cell", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, options, tmp_path / "cut")
    again = run_study(STUDY, options, tmp_path / "cut")
    wide, deep, _ = PAIRS[0]
    rest = [(pytest.approx(0.01), wide), (pytest.approx(0.01), deep)]
    assert started == [(0.1, wide), (0.1, deep), rest[0], *rest]
    assert all(again[name] == whole[name] for name in ("tables", "verdicts", "numbers", "rows"))
