"""Tests between methods over common seeds, against enumeration, scipy and published constants."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats
from statsmodels.stats.multitest import multipletests
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.figures import critical_difference_figure
from nni_wiring.figures.rank_figures import not_apart
from nni_wiring.report.paired import critical_difference, over_common_seeds


@pytest.mark.parametrize(
    ("methods", "quantile"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)],
)
def test_critical_difference_is_that_of_demsars_table(methods: int, quantile: float) -> None:
    expected = quantile * (methods * (methods + 1) / (6 * 14)) ** 0.5
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=1e-3)


#: AUC of C4.5, with the parameter m, with cf, with both, on 14 data sets (Demsar 2006, table 6);
#: one tie of rounded numbers is broken as it is in his ranks.
DEMSAR = """
    .763 .768 .771 .798  .599 .591 .590 .569  .954 .971 .968 .967  .628 .661 .654 .657
    .882 .888 .886 .898  .936 .931 .916 .931  .661 .668 .609 .685  .583 .583 .563 .625
    .775 .838 .866 .875  1.00 1.00 1.00 1.00  .940 .962 .965 .962  .619 .666 .614 .669
    .972 .981 .9751 .975  .957 .978 .946 .970
"""


def test_demsars_example() -> None:
    """His mean ranks, statistic (without the correction for ties) and critical difference."""
    table = np.array(DEMSAR.split(), dtype=float).reshape(14, 4)
    names = ("C4.5", "m", "cf", "m+cf")
    methods = {name: dict(enumerate(table[:, k].tolist())) for k, name in enumerate(names)}
    found = over_common_seeds(methods).ranks
    assert found is not None and found.seeds == 14
    assert [round(found.ranks[name], 3) for name in names] == [3.143, 2.0, 2.893, 1.964]
    squares = sum(rank**2 for rank in found.ranks.values())
    uncorrected = 12 * 14 / (4 * 5) * (squares - 4 * 25 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    ties = sum(n**3 - n for row in table for n in np.unique(row, return_counts=True)[1])
    corrected = uncorrected / (1 - ties / (14 * 4 * (16 - 1)))
    assert found.chi_squared == pytest.approx(corrected, rel=1e-9)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    # he: at the 5 % level not even the best and the worst are apart; at the 10 % level (1.12) m and
    # m+cf are better than C4.5, and cf belongs to both groups
    assert not_apart(found.ranks, found.critical_difference) == [("m+cf", "m", "cf", "C4.5")]
    assert not_apart(found.ranks, 1.12) == [("m+cf", "m", "cf"), ("cf", "C4.5")]


@pytest.mark.parametrize("critical", [0.05, 0.15, 0.75, 1.25, 5.0])
def test_joined_groups_are_the_maximal_cliques(critical: float) -> None:
    ranks = {"a": 1.0, "b": 1.5, "c": 2.1, "d": 2.2, "e": 4.0, "f": 4.7}
    graph = nx.Graph()
    graph.add_nodes_from(ranks)
    pairs = itertools.combinations(ranks, 2)
    graph.add_edges_from((a, b) for a, b in pairs if abs(ranks[a] - ranks[b]) <= critical)
    expected = {frozenset(clique) for clique in nx.find_cliques(graph) if len(clique) > 1}
    found = not_apart(ranks, critical)
    assert {frozenset(group) for group in found} == expected and len(found) == len(expected)


def test_the_diagram_has_every_method_at_its_rank() -> None:
    ranks = {"darts": 2.5, "gdas": 1.25, "snas": 2.25}
    figure = critical_difference_figure(ranks, 1.1, "title")
    [axes] = figure.axes
    said = {text.get_text() for text in axes.texts}
    assert {"gdas  1.25", "snas  2.25", "2.50  darts", "CD = 1.10"} <= said
    dots = {float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"}
    assert dots == set(ranks.values())
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4]
    assert [[round(float(x), 2) for x in bar] for bar in bars] == [[1.23, 2.27], [2.23, 2.52]]


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


@pytest.mark.parametrize(("methods", "seeds", "step"), [(3, 10, 0.01), (4, 12, 1.0), (7, 9, 0.5)])
def test_ranks_further_apart_than_the_critical_difference_are_nemenyis(
    methods: int, seeds: int, step: float
) -> None:
    """scikit-posthocs' p-values on values with and without ties."""
    drawn = np.random.default_rng(methods).normal(0, 1.2, (seeds, methods))
    values = np.round((drawn + 1.5 * np.arange(methods)) / step) * step
    table = {f"m{k}": dict(enumerate(values[:, k].tolist())) for k in range(methods)}
    found = over_common_seeds(table).ranks
    assert found is not None
    oracle = posthoc_nemenyi_friedman(values).to_numpy()
    ranks = np.array(list(found.ranks.values()))
    apart = np.abs(ranks[:, None] - ranks) > found.critical_difference
    pairs = ~np.eye(methods, dtype=bool)
    np.testing.assert_array_equal(apart[pairs], oracle[pairs] < 0.05)
    assert 0 < apart[pairs].sum() < pairs.sum()  # the draw has both kinds


def test_pairs_are_adjusted_as_statsmodels_does() -> None:
    drawn = np.random.default_rng(1).normal(0, 1, (8, 4)) + np.array([0, 0.4, 0.8, 2])
    table = {f"m{k}": dict(enumerate(drawn[:, k].tolist())) for k in range(4)}
    found = over_common_seeds(table).differences
    oracle = multipletests([one.p for one in found], method="holm")[1]
    assert [one.adjusted for one in found] == pytest.approx(oracle.tolist())


def test_equal_methods_differ_in_nothing() -> None:
    same = {1: 90.0, 2: 91.0}
    found = over_common_seeds({"a": same, "b": same, "c": same})
    assert found.ranks is not None and found.ranks.p == 1.0
    assert set(found.ranks.ranks.values()) == {2.0}
    assert [one.p for one in found.differences] == [1.0] * 3


def test_compare_prints_and_writes_them(tmp_path: Path) -> None:
    names = []
    for strategy, rows in (("darts", "cccccc"), ("gdas", "ssssss"), ("snas", "1c1c1c")):
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
    one, *others = metric["paired"]["differences"]
    assert len(others) == 2 and metric["axes"] == []
    assert Path(metric["ranks_figure"]).read_bytes()[:4] == b"\x89PNG"
    assert metric["paired"]["ranks"]["seeds"] == 2
    own = {row["label"]: row["mean"] for row in metric["rows"] if row["kind"] == "run"}
    assert one["seeds"] == 2
    assert one["mean"] == pytest.approx(own["darts"] - own["gdas"])
    header, *rows = table.read_text().splitlines()
    assert header.startswith("dataset,split,label,kind,runs,mean,std")
    assert len(rows) == len(metric["rows"])
