"""Strata counted from arch strings, contrasts by hand, and the design's numbers on the table."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.strata import bootstrap, live_multiset, spearman_within, strata
from nni_wiring.truth.importer import import_table
from search_spaces.cell_codes import NASBENCH201
from search_spaces.topology import all_topology

#: (2c, 2) - (1c, 3): points and percentiles after 12 and 200 epochs, the percentiles lost
KNOWN = {
    "cifar10": {
        "12 epochs, points": (1.63, 0.99, 2.21),
        "200 epochs, points": (0.41, 0.24, 0.57),
        "12 epochs, percentiles": (4.43, 1.57, 7.05),
        "200 epochs, percentiles": (0.50, -1.31, 2.19),
        "percentiles lost": (3.94, 2.15, 5.63),
    },
    "cifar100": {
        "12 epochs, points": (1.48,),
        "200 epochs, points": (0.46,),
        "12 epochs, percentiles": (4.10,),
        "200 epochs, percentiles": (1.40,),
        "percentiles lost": (2.70, 0.95, 4.50),
    },
    "imagenet16": {
        "12 epochs, points": (1.20,),
        "200 epochs, points": (0.94,),
        "12 epochs, percentiles": (5.73,),
        "200 epochs, percentiles": (2.50,),
        "percentiles lost": (3.23, 1.66, 4.80),
    },
}


def live_operations(arch: str) -> tuple[list[str], int, int]:
    """By walking the four paths: operations of live edges, longest path, most convolutions."""
    ops = [edge.split("~")[0] for node in arch.split("+") for edge in node.strip("|").split("|")]
    order = {"0-1": 0, "0-2": 1, "1-2": 2, "0-3": 3, "1-3": 4, "2-3": 5}
    walks = (["0-3"], ["0-1", "1-3"], ["0-2", "2-3"], ["0-1", "1-2", "2-3"])
    paths = [[order[edge] for edge in walk] for walk in walks]
    alive = [p for p in paths if all(ops[edge] != "none" for edge in p)]
    convs = max((sum("conv" in ops[e] for e in p) for p in alive), default=0)
    edges = {edge for p in alive for edge in p}
    return sorted(ops[e] for e in edges), max(map(len, alive), default=0), convs


@pytest.fixture(scope="module")
def result(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import_table(shared_data / "nb201_truth.csv.gz", "v11-strata", make_default=False)
    found = study("topology-vs-truth")
    options = found.options({"benchmark": "v11-strata"})
    return run_study(found, options, tmp_path_factory.mktemp("strata"))


def test_strata_are_the_multisets_of_live_operations() -> None:
    archs = [NASBENCH201.spell(cell) for cell in NASBENCH201.cells]
    walked = [live_operations(arch) for arch in archs]
    found = strata(live_multiset(NASBENCH201.cells))
    names = defaultdict(set)
    for number, (operations, _, _) in zip(found.tolist(), walked, strict=True):
        names[number].add(tuple(operations))
    assert all(len(kinds) == 1 for kinds in names.values())
    connected = [w for w in walked if w[0]]
    assert len(connected) == 15_284 and len({tuple(w[0]) for w in connected}) == 209
    sizes = Counter(tuple(w[0]) for w in connected)
    live = all_topology().connected
    assert sorted(sizes.values()) == sorted(Counter(found[live].tolist()).values())


@pytest.mark.parametrize("dataset", KNOWN)
def test_contrasts_are_the_designs(result: dict[str, Any], dataset: str) -> None:
    rows = {
        row["column"]: row
        for row in result["rows"]
        if row["data"] == dataset and row["contrast"] == "(2c, 2) - (1c, 3)"
    }
    assert rows.keys() == KNOWN[dataset].keys()
    assert {row["values"] for row in result["rows"]} == {113}
    for name, (mean, *ends) in KNOWN[dataset].items():
        assert rows[name]["mean"] == pytest.approx(mean, abs=0.015)
        if ends:  # another bootstrap's
            np.testing.assert_allclose([rows[name]["low"], rows[name]["high"]], ends, atol=0.15)


def test_a_contrast_by_hand(result: dict[str, Any], shared_data: Path) -> None:
    csv = pd.read_csv(shared_data / "nb201_truth.csv.gz").set_index("arch")
    groups: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for arch, value in csv["e12_cifar10valid_val"].items():
        operations, depth, convs = live_operations(str(arch))
        ops = [t.split("~")[0] for n in str(arch).split("+") for t in n.strip("|").split("|")]
        live = [name != "none" for name in ops]  # 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
        wide = live[0] and live[1] and not live[2] and live[4] and live[5]
        one = depth == 3 and not live[1]
        if wide or one:
            key = (*operations, convs)
            groups[key]["wide" if wide else "one"].append(value)
    means = [np.mean(g["wide"]) - np.mean(g["one"]) for g in groups.values() if len(g) == 2]
    [row] = [
        row
        for row in result["rows"]
        if (row["data"], row["column"]) == ("cifar10", "12 epochs, points")
        and row["contrast"] == "(2c, 2) - (1c, 3)"
    ]
    assert len(means) == 113 and row["mean"] == pytest.approx(np.mean(means), abs=1e-3)


def test_correlations_have_the_designs_signs_and_sizes(result: dict[str, Any]) -> None:
    table = result["tables"][1]
    assert table["title"].startswith("cifar10:")
    rows = {row[0]: row[1:] for row in table["rows"]}
    overall = {"width": (0.04, 0.18), "depth": (-0.01, 0.17), "conv depth": (0.40, 0.64)}
    overall["parameters"] = (0.41, 0.71)
    for name, known in overall.items():
        assert [rows[name][0], rows[name][2]] == pytest.approx(known, abs=0.011)
    # the design does not say how strata are pooled: weighted by cells, .03 away at most
    within = {"width": (0.12, 0.06), "depth": (-0.19, -0.14), "conv depth": (0.32, 0.22)}
    for name, known in within.items():
        assert [rows[name][1], rows[name][3]] == pytest.approx(known, abs=0.035)


def test_without_short_trainings_the_long_ones_stand_alone(tmp_path: Path) -> None:
    found = study("topology-vs-truth")
    options = found.options({"benchmark": "bundled", "repeats": 200})
    result = run_study(found, options, tmp_path / "study")
    assert result["verdicts"] == []
    assert {row["column"] for row in result["rows"]} == {
        "200 epochs, points",
        "200 epochs, percentiles",
    }
    for picture in result["pictures"]:
        assert (tmp_path / "study" / picture).read_bytes().startswith(b"\x89PNG")


def test_the_bootstrap_covers_and_the_pooled_correlation_ignores_strata() -> None:
    g = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        found = bootstrap(g.standard_normal(60), 500)
        hits += found.low <= 0 <= found.high
    assert stats.binomtest(hits, 300, 0.93).pvalue > 0.01  # percentile intervals are a bit short
    stratum = np.repeat(np.arange(20), 30)
    x = stratum + g.standard_normal(600)
    y = stratum + g.standard_normal(600)  # depend on each other through the stratum alone
    assert stats.spearmanr(x, y)[0] > 0.9
    assert abs(spearman_within(x, y, stratum)) < 0.15
    each = [stats.spearmanr(x[stratum == k], y[stratum == k])[0] for k in range(20)]
    assert spearman_within(x, y, stratum) == pytest.approx(np.mean(each))
