"""Studies of kept searches: made trajectories with known stops, and rules by simulation."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from nni_wiring.errors import ConfigError
from nni_wiring.records import CostMoments, EpochRecord
from nni_wiring.runs.kept import kept_runs
from nni_wiring.studies import early_stop, published_order, search_trajectories
from nni_wiring.studies.kept_searches import EDGES, OPERATIONS
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.truth.importer import import_table
from search_spaces.cell_codes import NASBENCH201

REFERENCE = Path(__file__).parents[2] / "docs" / "results" / "reference"


def record(epoch: int, skips: int = 0, gap: float = -0.1, peak: float = 0.2, skip_cost: float = 1.0,
           swap: bool = False, eigenvalue: float = 1.0) -> EpochRecord:  # fmt: skip
    """A cell with so many skips; p(alpha) with ``peak`` on one convolution."""
    names = ["skip_connect"] * skips + ["nor_conv_3x3"] * (6 - skips)
    arch = NASBENCH201.spell([OPERATIONS.index(name) for name in names])
    favourite = "nor_conv_1x1" if swap else "nor_conv_3x3"
    rest = (1 - peak) / 4
    z = {edge: {name: peak if name == favourite else rest for name in OPERATIONS} for edge in EDGES}
    costs = {"skip_connect": skip_cost, "nor_conv_3x3": 0.5}
    mean = {edge: {name: costs.get(name, 0.0) for name in OPERATIONS} for edge in EDGES}
    return EpochRecord(
        epoch,
        arch=arch,
        z=z,
        loss_minus_entropy={"search": gap},
        cost={"alpha": CostMoments(mean, {}, {})},
        statistics={"alpha_eigenvalue": eigenvalue},
    )


def test_each_rule_stops_at_the_epoch_that_first_meets_it() -> None:
    skips = [record(e, skips=s) for e, s in enumerate([0, 1, 1, 2, 0])]
    assert early_stop.too_many_skips(skips) == 3
    gaps = [record(e, gap=g) for e, g in enumerate([-0.2, -0.1, 0.0, 0.01])]
    assert early_stop.gap_crosses(gaps) == 3
    costs = [record(e, skip_cost=c) for e, c in enumerate([1.0, 0.5, 0.4])]
    assert early_stop.skip_is_cheaper(costs) == 2
    # entropy at peak .3: .3 ln(1/.3) + .7 ln(4/.7) = 1.581 = .983 ln 5; at .25 .996 ln 5
    peaks = [record(e, peak=p) for e, p in enumerate([0.2, 0.25, 0.3])]
    assert early_stop.entropy_falls(peaks) == 2
    ranks = [record(e, peak=0.4, swap=e < 5) for e in range(20)]
    assert early_stop.stable_ranking(ranks) == 15  # the ranking of epoch 5 stands ten epochs later
    # means of five: 1 until 19, then 1.2 (20), 1.4 (21), 1.4 / 1 > 1.3 four epochs back: 17 - 2
    grows = [record(e, eigenvalue=1.0 if e < 20 else 2.0) for e in range(30)]
    assert early_stop.eigenvalue_grows(grows) == 15
    assert early_stop.eigenvalue_grows(grows[:22]) is None  # the last epoch stops nothing
    soon = [record(e, eigenvalue=2.0**e) for e in range(30)]
    assert early_stop.eigenvalue_grows(soon) == 10  # never before the tenth
    calm = [record(e) for e in range(9)]
    for rule in early_stop.RULES.values():
        assert rule(calm) is None


def test_a_rule_is_no_rule_for_searches_without_what_it_reads(tmp_path: Path) -> None:
    found = study("early-stop")
    rows = [str(REFERENCE / "darts-s2.json.gz")]  # records no eigenvalue
    result = run_study(found, found.options({"rows": rows}), tmp_path / "study")
    [eigenvalue] = [row for row in result["tables"][0]["rows"] if "Hessian" in row[0]]
    assert eigenvalue[1:3] == [0, 0] and all(cell is None for cell in eigenvalue[3:])
    assert [row[1] for row in result["tables"][0]["rows"][:-1]] == [1] * 5
    assert result["verdicts"][-1]["n"] == 0


def test_published_order_takes_the_cells_of_the_methods_and_their_test_accuracy(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "nb201_truth.csv.gz"
    import_table(source, "v11-order", make_default=False)
    csv = pd.read_csv(source).set_index("arch")
    column = next(name for name in csv if name.startswith("v11_cifar10_test"))
    found = study("published-order")
    given = {"rows": [str(REFERENCE)], "benchmark": "v11-order"}
    result = run_study(found, found.options(given), tmp_path / "study")
    assert result["verdicts"][0]["verdict"] == "cannot be said"  # one seed of SNAS
    values = {
        path.name: json.loads(gzip.decompress(path.read_bytes()))
        for path in REFERENCE.glob("*.json.gz")
    }
    for row in result["rows"]:
        kept = values[f"{row['label']}.json.gz"]
        cell = kept["result"]["arch"]
        if row["method"] == "DARTS+PT":
            cell = kept["selections"]["perturbation"]["arch"]
        assert row["arch"] == cell
        assert row["accuracy"] == pytest.approx(csv.loc[cell, column], abs=0.01)
    assert not any("minimal" in row["label"] or "single" in row["label"] for row in result["rows"])


def test_the_order_is_judged_with_five_seeds_only_and_seldom_by_chance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(published_order, "_REPEATS", 300)
    g = np.random.default_rng(0)
    names = list("abcdefgh")
    published = {name: float(place) for place, name in enumerate(names)}

    def verdict(effect: float, seeds: int = 5) -> str:
        kept = {
            name: (effect * place + g.standard_normal() + g.standard_normal(seeds)).tolist()
            for place, name in enumerate(names)
        }
        return published_order.judge(kept, published).verdict

    assert sum(verdict(0) == "holds" for _ in range(40)) <= 5  # 5 % of 40, p = .02 beyond
    assert all(verdict(3) == "holds" for _ in range(5))
    assert verdict(3, seeds=4) == "cannot be said"


def test_early_stop_saves_are_differences_of_the_tables_regret(
    shared_data: Path, tmp_path: Path
) -> None:
    found = study("early-stop")
    paths = [str(REFERENCE / f"{label}.json.gz") for label in ("darts-s2", "gdas-s1")]
    result = run_study(
        found, found.options({"rows": paths, "benchmark": "bundled"}), tmp_path / "s"
    )
    best = 91.6067
    for row in result["rows"]:
        epochs = json.loads(gzip.decompress((REFERENCE / f"{row['label']}.json.gz").read_bytes()))[
            "epochs"
        ]
        true = [best - epoch["truth"]["accuracy"]["cifar10"]["valid"] for epoch in epochs]
        stop = len(epochs) - 1 if row["epoch"] is None else row["epoch"]
        got = (row["regret"], row["at_the_end"], row["best"])
        assert got == pytest.approx((true[stop], true[-1], min(true)), abs=1e-3)
        assert row["epochs"] == len(epochs)


_RULE = "two skips (DARTS+)"


def stopped(method: str, seed: int, saved: float) -> dict[str, Any]:
    return {"rule": _RULE, "method": method, "seed": seed, "at_the_end": saved, "regret": 0.0}


def test_methods_weigh_the_same_in_what_a_rule_saves_whatever_seeds_they_have() -> None:
    """Of two methods that one gains two points and the other loses two: nothing is saved."""
    more = [stopped("a", seed, 2.0) for seed in (1, 2, 3, 4)]
    for others in ((1, 2), (1,), (5, 6, 7), (1, 1, 2), (1, 2, 3, 4)):
        rows = [*more, *(stopped("b", seed, -2.0) for seed in others)]
        gains = early_stop.saved(rows)
        assert len(gains[_RULE]) == len({row["seed"] for row in rows})
        assert np.mean(gains[_RULE]) == pytest.approx(0.0, abs=1e-12), others
    assert all(values == [] for name, values in gains.items() if name != _RULE)
    g = np.random.default_rng(1)
    drawn = g.standard_normal((3, 6))
    rows = [stopped(str(m), s, drawn[m, s]) for m in range(3) for s in range(6)]
    np.testing.assert_allclose(early_stop.saved(rows)[_RULE], drawn.mean(axis=0))


def test_trajectories_are_the_records_means(tmp_path: Path) -> None:
    found = study("search-trajectories")
    paths = [str(REFERENCE / f"{label}.json.gz") for label in ("darts-s2", "gdas-s1")]
    options = found.options({"rows": paths, "benchmark": "bundled"})
    result = run_study(found, options, tmp_path / "study")
    for row in result["rows"]:
        epochs = json.loads(gzip.decompress((REFERENCE / f"{row['label']}.json.gz").read_bytes()))[
            "epochs"
        ]
        z = [np.mean([edge["skip_connect"] for edge in e["z"].values()]) for e in epochs]
        np.testing.assert_allclose(row["curves"]["Z skip"], z)
        gaps = [e["loss_minus_entropy"]["search"] for e in epochs]
        np.testing.assert_allclose(row["curves"]["L - H search"], gaps)
        true = [e["truth"]["accuracy"]["cifar10"]["valid"] for e in epochs]
        np.testing.assert_allclose(row["curves"]["true %"], true, atol=1e-3)
        assert row["fall"] == pytest.approx(np.mean(true[25:]) - true[-1], abs=1e-3)
    assert {v["verdict"] for v in result["verdicts"]} == {"cannot be said"}  # one seed each


def test_skip_overtakes_only_where_it_was_behind_and_ends_ahead() -> None:
    def overtaking(skip: list[float], conv: list[float]) -> float:
        flat = [0.0] * len(skip)
        curves = {"Z skip": skip, "Z conv 3x3": conv, "gap": flat, "true %": flat}
        return search_trajectories.changes(curves)["skip"]

    assert overtaking([0.2, 0.2, 0.3], [0.2, 0.25, 0.2]) == pytest.approx(0.15)
    assert overtaking([0.2, 0.22, 0.3], [0.2, 0.2, 0.2]) == 0  # never behind
    assert overtaking([0.2, 0.15, 0.18], [0.2, 0.2, 0.2]) == pytest.approx(-0.02)
    # gap: the mean of the first tenth against the end
    gaps = [0.0, 0.1] + [0.2] * 17 + [0.5]
    curves = {"Z skip": gaps, "Z conv 3x3": gaps, "gap": gaps, "true %": gaps}
    assert search_trajectories.changes(curves)["gap"] == pytest.approx(0.45)


def test_selected_speed_runs_on_kept_searches(shared_data: Path, tmp_path: Path) -> None:
    import_table(shared_data / "nb201_truth.csv.gz", "v11-selected", make_default=False)
    found = study("selected-speed")
    given: dict[str, Any] = {"rows": [str(REFERENCE / "darts-s2.json.gz")]}
    options = found.options({**given, "benchmark": "v11-selected"})
    result = run_study(found, options, tmp_path / "study")
    rows = [row for row in result["rows"] if row["data"] == "cifar10"]
    [kept] = kept_runs(given["rows"])
    assert [row["epoch"] for row in rows] == list(range(50))
    # at its start p(alpha) is nearly uniform: the mean percentile, and no tilt
    assert rows[0]["early"] == pytest.approx(50, abs=1) and abs(rows[0]["tilt"]) < 0.1
    assert result["verdicts"][0]["verdict"] == "cannot be said" and kept.seed == 2


def test_studies_say_what_they_read(tmp_path: Path) -> None:
    from nni_wiring.commands import main

    runner = CliRunner()
    refused = runner.invoke(main, ["study", "linear-cells", "--from", "x"])
    assert refused.exit_code == 1 and "no file x" in refused.output  # (a kept study)
    found = study("early-stop")
    with pytest.raises(ConfigError, match="reads finished searches: name them by --from"):
        run_study(found, found.options({}), tmp_path)
