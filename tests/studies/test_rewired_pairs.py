"""Rewired pairs against the merged table's own columns, read as text, and simulated exchange."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nni_wiring.errors import BenchmarkError
from nni_wiring.studies.registry import study
from nni_wiring.studies.rewired_pairs import (
    FASTER,
    NO_BETTER,
    ExchangeTest,
    exchange_test,
    judge,
)
from nni_wiring.studies.rewiring import lead, rewired
from nni_wiring.studies.running import run_study
from nni_wiring.studies.statistics import Interval, cluster_interval
from nni_wiring.studies.truths import in_table
from nni_wiring.truth import load_table
from nni_wiring.truth.importer import import_table

RUNS = {"cifar10": "cifar10valid", "cifar100": "cifar100", "imagenet16": "imagenet16"}
#: points and wins after 12 and 200 epochs, percentiles, T, its error over pairs and under flips
KNOWN = {
    "cifar10": (2.23, 69, 0.60, 59, 6.98, 2.25, 4.73, 0.37, 0.87),
    "cifar100": (1.91, 68, 0.61, 59, 6.14, 2.37, 3.77, 0.36, 0.83),
    "imagenet16": (1.37, 66, 1.26, 58, 6.82, 3.74, 3.09, 0.36, 0.74),
}
#: of the pairs with a cell in the top quarter: their number, 12 epochs, 200 epochs and its interval
TOP = {
    "cifar10": (459, 2.06, 0.03, -0.14, 0.18),
    "cifar100": (475, None, 0.37, 0.08, 0.66),
    "imagenet16": (471, None, 0.56, 0.15, 0.97),
}


@pytest.fixture(scope="module")
def csv(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "nb201_truth.csv.gz").set_index("arch")


Leads = dict[str, dict[str, dict[str, float]]]


@pytest.fixture(scope="module")
def leads(result: dict[str, Any]) -> Leads:
    """By data set and arch of the wide cell."""
    table = load_table("v11-pairs")
    pairs = rewired(table)
    archs = [table.arch(wide) for wide in pairs.wide.tolist()]
    found: Leads = {}
    for dataset in RUNS:
        columns = lead(in_table(table, dataset), pairs)._asdict()
        del columns["ranks"]
        columns["cluster"] = pairs.cluster
        found[dataset] = {
            arch: {name: column[k] for name, column in columns.items()}
            for k, arch in enumerate(archs)
        }
    return found


@pytest.fixture(scope="module")
def result(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import_table(shared_data / "nb201_truth.csv.gz", "v11-pairs", make_default=False)
    found = study("rewired-pairs")
    folder = tmp_path_factory.mktemp("pairs")
    return run_study(found, found.options({"benchmark": "v11-pairs"}), folder)


def partners(csv: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The pairs by the arch strings alone."""
    for arch in csv.index:
        one, two, three = ([t.split("~")[0] for t in n.strip("|").split("|")]
                           for n in arch.split("+"))  # fmt: skip
        if "none" in (one[0], two[0], three[1], three[2]) or two[1] != "none":
            continue
        yield arch, arch.replace(f"|{two[0]}~0|none~1|", f"|none~0|{two[0]}~1|")


def test_pairs_are_all_of_equal_size_and_the_partners_are_a_class_of_cells(
    csv: pd.DataFrame, leads: Leads
) -> None:
    expected = dict(partners(csv))
    assert len(expected) == len(set(expected.values())) == 1280
    assert leads["cifar10"].keys() == expected.keys()
    sizes = [column for column in csv if column.startswith(("params", "flops"))]
    wide, deep = csv.loc[list(expected)], csv.loc[list(expected.values())]
    np.testing.assert_allclose(wide[sizes].to_numpy(), deep[sizes].to_numpy(), rtol=1e-6)
    groups: dict[tuple[str, ...], set[float]] = {}
    for arch, row in leads["cifar10"].items():
        groups.setdefault(into_output(arch), set()).add(row["cluster"])
    assert len(groups) == 80 and all(len(numbers) == 1 for numbers in groups.values())
    assert len(sizes) == 6


def into_output(arch: str) -> tuple[str, ...]:
    return tuple(t.split("~")[0] for t in arch.split("+")[2].strip("|").split("|"))


@pytest.mark.parametrize("dataset", RUNS)
def test_leads_are_those_of_the_tables_columns(
    csv: pd.DataFrame, result: dict[str, Any], leads: Leads, dataset: str
) -> None:
    rows = leads[dataset]
    wide, deep = map(list, zip(*partners(csv), strict=True))
    means = []
    columns = {"short": f"e12_{RUNS[dataset]}_val", "full": f"v11_{RUNS[dataset]}_val200"}
    for name, column in columns.items():
        values = csv[column]
        points = values[wide].to_numpy() - values[deep].to_numpy()
        np.testing.assert_allclose([rows[arch][name] for arch in wide], points, atol=1e-4)
        ranks = 100 * values.rank(method="max") / len(values)
        found = ranks[wide].to_numpy() - ranks[deep].to_numpy()
        np.testing.assert_allclose(
            [rows[a][f"{name}_rank"] for a in wide], found, atol=0.05
        )  # float32 makes or breaks ties of six digits
        means.append((points.mean(), 100 * (points > 0).mean(), found))
    (short, won, early), (full, kept, late) = means
    *known, error, spread = KNOWN[dataset]
    shift = early - late
    got = [short, won, full, kept, early.mean(), late.mean(), shift.mean()]
    assert np.all(np.abs(np.subtract(got, known)) < [0.01, 0.51, 0.01, 0.51, 0.02, 0.02, 0.02])
    assert shift.std(ddof=1) / np.sqrt(1280) == pytest.approx(error, abs=0.006)
    tests = [row for row in result["tables"][0]["rows"] if row[0] == dataset]
    assert tests[0][2] == pytest.approx(short, abs=1e-4)
    assert tests[2][5] == pytest.approx(spread, abs=0.01)
    assert all(row[-1] < 0.001 for row in tests)


@pytest.mark.parametrize("dataset", RUNS)
def test_rows_are_the_sums_over_pairs_of_equal_operations_into_the_output(
    csv: pd.DataFrame, result: dict[str, Any], leads: Leads, dataset: str
) -> None:
    """(what the flips and intervals of the verdicts take)"""
    final = csv[f"v11_{RUNS[dataset]}_val200"]
    ranks = 100 * final.rank(method="max") / len(final)
    expected: dict[str, dict[str, float]] = {}
    for wide, deep in partners(csv):
        row = leads[dataset][wide]
        top = max(ranks[wide], ranks[deep]) >= 75
        values = {
            "pairs": 1,
            "short": row["short"],
            "full": row["full"],
            "shift": row["short_rank"] - row["full_rank"],
            "top_pairs": top,
            "top_full": top * row["full"],
        }
        sums = expected.setdefault(" ".join(into_output(wide)), dict.fromkeys(values, 0.0))
        for name, value in values.items():
            sums[name] += value
    rows = [row for row in result["rows"] if row["data"] == dataset]
    assert len(rows) == len(expected) == 80
    for row in rows:
        for name, value in expected[row["out"]].items():
            assert row[name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("dataset", RUNS)
def test_good_pairs(result: dict[str, Any], dataset: str) -> None:
    rows = {row[1]: row[2:] for row in result["tables"][1]["rows"] if row[0] == dataset}
    n, early, *late = TOP[dataset]
    found = rows["better cell in the top quarter"]
    assert found[0] == n and (early is None or found[1] == pytest.approx(early, abs=0.01))
    np.testing.assert_allclose(found[5:8], late, atol=0.025)
    if dataset == "cifar10":
        moved = [rows[f"0-1 a convolution, {name} moved"] for name in
                 ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3")]  # fmt: skip
        changes = [[row[1], row[5]] for row in moved]
        known = [[2.79, 0.09], [3.08, 0.15], [1.17, -0.36], [0.51, -0.88]]
        np.testing.assert_allclose(changes, known, atol=0.006)
        added = {row[1]: row[2:] for row in result["tables"][2]["rows"] if row[0] == dataset}
        assert added["skip_connect"] == pytest.approx([-2.45, -2.00], abs=0.006)
        assert added["nor_conv_3x3"] == pytest.approx([1.01, 1.15], abs=0.006)


def test_pairs_behind_a_skip_are_one_function(csv: pd.DataFrame, result: dict[str, Any]) -> None:
    behind = sum(arch.startswith("|skip_connect~0|") for arch, _ in partners(csv))
    same = [row for row in result["tables"][1]["rows"] if row[1] == "the same function twice"]
    assert [row[2] for row in same] == [behind] * 3 == [320] * 3
    assert all(abs(row[7]) < 0.05 for row in same)  # 200 epochs: only training noise is left


def test_verdicts_and_pictures(result: dict[str, Any]) -> None:
    faster, better = result["verdicts"]
    assert (faster["verdict"], better["verdict"]) == ("holds", "holds in part")
    assert faster["n"] == better["n"] == 80 and better["effect"] == 1
    for picture in result["pictures"]:
        assert (Path(result["folder"]) / picture).read_bytes().startswith(b"\x89PNG")


def test_a_table_without_short_trainings_is_refused(tmp_path: Path) -> None:
    found = study("rewired-pairs")
    options = found.options({"benchmark": "bundled"})
    with pytest.raises(BenchmarkError, match="'bundled' has no accuracy cifar10/valid@12"):
        run_study(found, options, tmp_path / "study")


CLUSTER = np.repeat(np.arange(80), 16)


def flipped(values: np.ndarray) -> ExchangeTest:
    return exchange_test(np.bincount(CLUSTER, weights=values), np.bincount(CLUSTER))


def simulated(effect: float, g: np.random.Generator) -> str:
    """Three data sets whose leads share the sign of their cluster, as pairs do."""
    tests = {}
    for name in "abc":
        shared = g.standard_normal(80)[CLUSTER]
        tests[name] = flipped(effect + shared + g.standard_normal(1280))
    return judge(FASTER, tests, None).verdict


def test_exchangeable_pairs_seldom_pass_and_a_lead_is_seen() -> None:
    g = np.random.default_rng(0)
    p = [flipped(g.standard_normal(80)[CLUSTER]).p for _ in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert sum(simulated(0.0, g) == "holds" for _ in range(60)) == 0  # three tests must agree
    assert all(simulated(0.7, g) == "holds" for _ in range(20))
    assert all(simulated(-0.7, g) == "does not hold" for _ in range(20))


def test_no_better_needs_every_good_interval_inside_the_margin() -> None:
    g = np.random.default_rng(1)
    lost = {name: flipped(1 + g.standard_normal(1280)) for name in "abc"}
    inside, outside = Interval(0.1, -0.4, 0.45, 60), Interval(0.2, -0.2, 0.6, 60)
    assert judge(NO_BETTER, lost, dict.fromkeys("abc", inside)).verdict == "holds"
    good = {"a": inside, "b": inside, "c": outside}
    assert judge(NO_BETTER, lost, good).verdict == "holds in part"


def test_the_cluster_interval_covers_the_mean_where_values_share_their_cluster() -> None:
    g = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        values = g.standard_normal(80)[CLUSTER] + g.standard_normal(1280)
        found = cluster_interval(values, CLUSTER)
        hits += found.low <= 0 <= found.high
    assert stats.binomtest(hits, 400, 0.95).pvalue > 0.01
    alone = cluster_interval(values[:9], np.arange(9))
    t = stats.ttest_1samp(values[:9], 0).confidence_interval(0.95)
    assert (alone.low, alone.high) == pytest.approx((t.low, t.high))
