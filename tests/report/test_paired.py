"""Tests between methods over common seeds, against enumeration, scipy and published constants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from scipy import stats
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.report.paired import critical_difference, over_common_seeds


@pytest.mark.parametrize(
    ("methods", "quantile"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)],
)
def test_critical_difference_is_that_of_demsars_table(methods: int, quantile: float) -> None:
    expected = quantile * (methods * (methods + 1) / (6 * 14)) ** 0.5
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=1e-3)


def test_pairs_are_over_common_seeds_only() -> None:
    found = over_common_seeds({"a": {1: 90.0, 2: 91.0, 3: 92.0}, "b": {2: 90.0, 3: 90.0, 9: 1.0}})
    [one] = found.differences
    assert (one.first, one.second, one.seeds, one.mean) == ("a", "b", 2, 1.5)
    # four flips of (1, 2): two of them reach |3|
    assert one.p == one.adjusted == 0.5 and not one.decidable
    assert found.ranks is None


def test_six_seeds_that_agree_decide_and_holm_counts_the_pairs() -> None:
    seeds = range(6)
    methods = {
        "a": {s: 90.0 + s for s in seeds},
        "b": {s: 89.0 + 0.9 * s for s in seeds},
        "c": {s: 80.0 + 0.5 * s for s in seeds},
    }
    found = over_common_seeds(methods)
    assert [one.p for one in found.differences] == [2 / 64] * 3
    assert [one.adjusted for one in found.differences] == pytest.approx([6 / 64] * 3)
    assert all(one.decidable for one in found.differences)
    assert found.ranks is not None and found.ranks.ranks == {"a": 1.0, "b": 2.0, "c": 3.0}
    oracle = stats.friedmanchisquare(*[list(one.values()) for one in methods.values()])
    assert found.ranks.p == pytest.approx(oracle.pvalue)
    assert found.ranks.chi_squared == pytest.approx(12.0)  # n (k - 1): all seeds agree


def test_equal_methods_differ_in_nothing() -> None:
    same = {1: 90.0, 2: 91.0}
    found = over_common_seeds({"a": same, "b": same, "c": same})
    assert found.ranks is not None and found.ranks.p == 1.0
    assert set(found.ranks.ranks.values()) == {2.0}
    assert [one.p for one in found.differences] == [1.0] * 3


def test_compare_prints_and_writes_them(tmp_path: Path) -> None:
    names = []
    for strategy, rows in (("darts", "cccccc"), ("gdas", "ssssss")):
        for seed in (1, 2):
            folder = tmp_path / f"{strategy}-{seed}"
            write_run(folder, rows, strategy=strategy, seed=seed, data="cifar10", epochs=50)
            names.append(str(folder))
    table = tmp_path / "rows.csv"
    answer = CliRunner().invoke(main, ["compare", *names, "--csv", str(table)])
    assert answer.exit_code == 0, answer.output
    assert "darts - gdas" in answer.output and "(too few seeds to tell)" in answer.output
    told = json.loads(CliRunner().invoke(main, ["compare", *names, "--json"]).stdout)
    [metric] = told["metrics"]
    [one] = metric["paired"]["differences"]
    own = {row["label"]: row["mean"] for row in metric["rows"] if row["kind"] == "run"}
    assert one["seeds"] == 2
    assert one["mean"] == pytest.approx(own["darts"] - own["gdas"])
    header, *rows = table.read_text().splitlines()
    assert header.startswith("dataset,split,label,kind,runs,mean,std")
    assert len(rows) == len(metric["rows"])
