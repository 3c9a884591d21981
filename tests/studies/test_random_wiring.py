"""Random wirings trained: nets by their genotypes, a cell by hand, exact widths, small runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from study_runs import silent_run

from nni_wiring.errors import ConfigError
from nni_wiring.studies import random_wiring
from nni_wiring.studies.frame import Row, StudyRun
from nni_wiring.studies.published_topology import CellType, at_least, width_distribution
from nni_wiring.studies.random_wiring import STUDY, judge, per_cell, widths
from nni_wiring.studies.random_wirings import random_conn
from nni_wiring.studies.running import run_study
from nni_wiring.studies.trainings import unless_small
from nni_wiring.studies.wired_cells import (
    DARTS,
    PUBLISHED,
    Net,
    drawn_wirings,
    nets,
    network,
    rewired,
    shapes,
)
from nni_wiring.train.config import make_train_config
from nni_wiring.train.network import build_network
from search_spaces.genotypes import DARTS_OPERATIONS

TINY: dict[str, Any] = {
    "data": "digits",
    "split": "half",
    "channels": 4,
    "cells": 3,
    "batch_size": 8,
    "epochs": 2,
    "max_steps": 1,
    "seeds": 1,
    "conn": 1,
    "graphs": 0,
    "ops": 1,
    "draws": 3,
}
_SMALL = "no verdict: small, 4 channels, 2 epochs, 1 steps an epoch"


def study_run(path: Path, **changes: Any) -> StudyRun:
    return silent_run(STUDY, path, **{**TINY, **changes})


def test_widths_are_those_of_the_exact_distribution() -> None:
    """E[width] = 2.5667 and 2.9 for S3's rule; tails by convolution."""
    draws = 600
    for row in widths(draws):
        if row["generator"] != "conn":
            continue
        exact = width_distribution(CellType(row["nodes"], repeats=True))
        assert row["width"] == pytest.approx({4: 2.5667, 5: 2.9}[row["nodes"]], abs=0.1)
        for level in (3.5, 4.0, 5.0):
            p = at_least(exact, level)  # type: ignore[arg-type]
            error = math.sqrt(p * (1 - p) / draws)
            assert row[f"at_least_{level:g}"] == pytest.approx(p, abs=4 * error + 1e-12)
        assert row["at_most_2"] <= row["at_most_3"] and 2 < row["depth"] < 6


def test_nets_are_the_published_cell_with_connections_or_operations_drawn_anew() -> None:
    found = {net.name: net for net in nets(10, 2, 40)}
    assert len(found) == 2 + 10 + 3 * 2 + 40
    assert shapes(found["DARTS"]) == {
        "width": 3.5,
        "depth": 3,
        "reduce_width": 2.5,
        "reduce_depth": 3,
    }
    assert shapes(found["ADAPT"])["width"] == 4 and shapes(found["ADAPT"])["depth"] == 2
    conn = [shapes(found[f"CONN{seed}"])["width"] for seed in range(1, 11)]
    assert conn == [2.5, 2.0, 3.0, 3.5, 2.5, 2.5, 3.0, 2.5, 3.0, 3.5]  # of the authors' file
    for kind in ("normal", "reduce"):
        assert found["CONN7"].sources(kind) == getattr(random_conn(4, 7), kind)
        names = [name for name, _ in getattr(DARTS, kind)]
        for net in found.values():
            cell = getattr(net.genotype, kind)
            if net.kind == "ops":
                assert net.sources(kind) == found["DARTS"].sources(kind)
            else:
                assert [name for name, _ in cell] == names
    drawn = [name for seed in range(1, 41) for name, _ in found[f"OPS{seed}"].genotype.normal]
    assert set(drawn) == set(DARTS_OPERATIONS) - {"none"}
    assert all(found[f"{k}1"].genotype != found[f"{k}2"].genotype for k in ("ER", "WS", "BA"))
    assert drawn_wirings("ws", 1).normal != drawn_wirings("ws", 1).reduce


@pytest.mark.parametrize("training", [True, False])
def test_the_published_net_is_the_network_of_the_space(*, training: bool) -> None:
    config = make_train_config(
        {"arch": PUBLISHED, "space": "darts", "channels": 4, "cells": 3, "affine": True}
    )
    torch.manual_seed(0)
    theirs, ours = build_network(config, 10), network(DARTS, 10, 4, 3)
    ours.load_state_dict(theirs.state_dict())  # the same names and shapes
    images = torch.randn(4, 3, 16, 16)
    outputs = [net.train(training)(images) for net in (theirs, ours)]
    assert torch.allclose(*outputs, atol=1e-6)


def test_a_cell_that_reads_one_state_twice_by_hand() -> None:
    """The genotype's pairs, followed one by one."""
    wirings = (random_conn(4, seed) for seed in range(1, 11))
    twice = next(w for w in wirings if any(a == b for a, b in w.normal))
    pairs = rewired(twice).normal
    torch.manual_seed(1)
    cell = network(rewired(twice), 10, 4, 3).layers[0].cell  # type: ignore[index,union-attr]
    operations = list(cell.edges.values())  # type: ignore[union-attr,operator]
    states = [torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)]
    found = cell(*states)  # type: ignore[operator]
    for place in range(0, 8, 2):
        both = [operations[k](states[pairs[k][1]]) for k in (place, place + 1)]
        states.append(both[0] + both[1])
    assert torch.allclose(found, torch.cat(states[2:], dim=1), atol=1e-6)


def made(width: float, auc: float, final: float, kind: str = "conn") -> Row:
    shape = {"depth": 3, "reduce_width": 2.0, "reduce_depth": 3}
    name = f"{kind}-{width}-{auc}"
    return {"net": name, "kind": kind, "width": width, **shape, "auc": auc, "final": final}


def test_the_claim_is_about_the_area_and_not_the_end(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    ends = g.permutation(24)
    cells = [made(w, -w + 0.1 * g.random(), float(end)) for w, end in enumerate(ends)]
    verdict = judge(cells)
    assert verdict.verdict == "holds" and verdict.effect == pytest.approx(1.0)
    reverse = [made(c["width"], -c["auc"], c["final"]) for c in cells]
    assert judge(reverse).verdict == "does not hold"
    small, whole = (
        unless_small(study_run(tmp_path, **changes), [verdict], PUBLISHED)[0]
        for changes in ({}, {**STUDY.at("reference", "clutter"), "max_steps": None})
    )
    assert small.verdict == "cannot be said" and _SMALL in small.evidence
    assert whole == verdict


def test_a_net_s_figures_are_means_over_seeds_and_none_where_it_diverged() -> None:
    rows = [made(2.0, 0.1, 40.0), made(2.0, 0.1, 44.0), made(3.0, 0.2, math.nan)]
    for row in rows:
        row["net"] = f"{row['width']}"
    first, second = per_cell(rows)
    assert (first["auc"], first["final"]) == (pytest.approx(0.1), 42.0)
    assert math.isnan(second["final"])


def test_an_interrupted_study_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = study_run(tmp_path).options
    whole = run_study(STUDY, options, tmp_path / "whole")
    assert [row["net"] for row in whole["rows"]] == ["DARTS", "ADAPT", "CONN1", "OPS1"]
    assert len({tuple(row["loss"]) for row in whole["rows"]}) == 4
    assert all(len(row["loss"]) == 2 and row["error"] is None for row in whole["rows"])
    assert whole["verdicts"][0]["verdict"] == "cannot be said"
    assert "no verdict: small" in whole["verdicts"][0]["evidence"]
    assert whole["verdicts"][0]["n"] == 3  # the net with other operations is no unit
    original, started = random_wiring.train_net, []

    def stop_at_the_third(run: StudyRun, net: Net, seed: int) -> Row:
        started.append(net.name)
        if len(started) == 3:
            raise KeyboardInterrupt
        return original(run, net, seed)

    monkeypatch.setattr(random_wiring, "train_net", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, options, tmp_path / "cut")
    again = run_study(STUDY, options, tmp_path / "cut")
    assert started == ["DARTS", "ADAPT", "CONN1", "CONN1", "OPS1"]
    assert all(again[name] == whole[name] for name in ("tables", "verdicts", "numbers", "rows"))
    assert (tmp_path / "cut" / again["pictures"][0]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"conn": -1}, "conn=-1 must be at least 0"),
        ({"strategy": "gdas"}, "strategy is no option of a training"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    options = STUDY.options({**TINY, **changes})
    with pytest.raises(ConfigError, match=message):
        run_study(STUDY, options, tmp_path)
    assert not (tmp_path / "parts").exists()
