"""Width and depth of published cells against brute enumeration and hand-computed tails."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.studies.frame import Row
from nni_wiring.studies.published_cells import (
    FINAL_CELLS,
    distinct,
    edge_rows,
    group_rows,
    groups_p,
    judge_dropped,
    live_shares,
    poisson_binomial,
)
from nni_wiring.studies.published_topology import (
    CellType,
    cell_rows,
    depth_distribution,
    mean,
    width_distribution,
)
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.truth import load_table
from nni_wiring.truth.importer import import_table
from search_spaces.cell_graph import format_arch

TAILS = {
    "NASNet": Fraction(4, 9) * Fraction(1, 4) * Fraction(4, 25) * Fraction(1, 9),
    "ENAS": Fraction(4, 9) * Fraction(1, 4) * Fraction(4, 25) * Fraction(1, 9),
    "SNAS": Fraction(1, 3) * Fraction(1, 6) * Fraction(1, 10),
    "DARTS": Fraction(722, 10_000),
    "AmoebaNet": Fraction(1057, 10_000),
}


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("nodes", [4, 5])
def test_the_mean_width_is_the_harmonic_sum(nodes: int, *, repeats: bool) -> None:
    expected = sum(Fraction(2, 2 + j) for j in range(nodes))
    found = width_distribution(CellType(nodes, repeats))
    assert mean(found) == expected and sum(found.values()) == 1


@pytest.mark.parametrize("kind", [CellType(4, repeats=False), CellType(4, repeats=True)])
def test_both_distributions_are_those_of_all_wirings(kind: CellType) -> None:
    pairs = [
        list(product(range(2 + j), repeat=2) if kind.repeats else combinations(range(2 + j), 2))
        for j in range(kind.nodes)
    ]
    widths: Counter[Fraction] = Counter()
    depths: Counter[Fraction] = Counter()
    for wiring in product(*pairs):
        longest = [0, 0]
        for pair in wiring:
            longest.append(1 + max(longest[source] for source in pair))
        depths[Fraction(1 + max(longest))] += 1
        widths[Fraction(sum(source < 2 for pair in wiring for source in pair), 2)] += 1
    total = widths.total()
    assert total == (4 * 9 * 16 * 25 if kind.repeats else 180)
    for found, counted in (
        (width_distribution(kind), widths),
        (depth_distribution(kind), depths),
    ):
        assert found == {value: Fraction(count, total) for value, count in counted.items()}


def test_tails_of_the_published_normal_cells() -> None:
    for row in cell_rows("normal"):
        assert row["p_width"] == pytest.approx(float(TAILS[row["cell"]]), abs=5e-5)


def test_depth_of_five_nodes_by_enumeration_of_all_518_400_wirings() -> None:
    depths = np.zeros((1, 2), dtype=np.int8)
    for j in range(5):
        pairs = np.array(list(product(range(2 + j), repeat=2)))
        new = 1 + np.maximum(depths[:, pairs[:, 0]], depths[:, pairs[:, 1]])
        depths = np.column_stack([np.repeat(depths, len(pairs), axis=0), new.ravel()])
    assert len(depths) == 518_400
    counted = Counter((1 + depths.max(axis=1)).tolist())
    exact = depth_distribution(CellType(5, repeats=True))
    assert exact == {d: Fraction(n, 518_400) for d, n in counted.items()}


def test_no_reduction_cell_is_shown_to_be_wide() -> None:
    """Nor rare by its depth; the smallest p is that of ENAS' 4c."""
    rows = cell_rows("reduction")
    figures = [(row["cell"], row["width"], row["depth"]) for row in rows]
    assert figures == [
        ("NASNet", 3.5, 3),
        ("AmoebaNet", 4.0, 3),
        ("ENAS", 4.0, 4),
        ("DARTS", 2.5, 3),
        ("SNAS", 2.5, 3),
    ]
    assert min(row["p_width"] for row in rows) == pytest.approx(0.1057, abs=5e-5)
    assert min(row["adjusted"] for row in rows) > 0.05


def test_the_listed_cells() -> None:
    """25 searches, 16 different cells, all of the benchmark."""
    assert len(FINAL_CELLS) == 25 and len(distinct()) == 16
    assert Counter(cell.dataset for cell in FINAL_CELLS) == {
        "cifar10": 9,
        "cifar100": 9,
        "imagenet16": 7,
    }
    assert distinct()[0] == format_arch([1] * 6)
    assert distinct()[1] == (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )


def test_edges_of_the_distinct_cells_that_are_none() -> None:
    found = {row["edge"]: row for row in edge_rows(distinct())}
    assert {edge: row["empty"] for edge, row in found.items()} == {
        "0-1": 6,
        "0-2": 1,
        "1-2": 14,
        "0-3": 0,
        "1-3": 5,
        "2-3": 4,
    }
    assert all(row["expected"] == pytest.approx(5.0) for row in found.values())
    assert found["1-2"]["p"] == pytest.approx(6e-8, abs=0.5e-8)
    assert [edge for edge, row in found.items() if row["adjusted"] < 0.05] == ["1-2"]


def test_the_poisson_binomial_is_that_of_all_outcomes() -> None:
    shares = [Fraction(1, 6), Fraction(1, 2), Fraction(0), Fraction(5, 6), Fraction(1, 3)]
    counted: Counter[int] = Counter()
    for outcome in product((0, 1), repeat=5):
        chance = Fraction(1)
        for hit, share in zip(outcome, shares, strict=True):
            chance *= share if hit else 1 - share
        counted[sum(outcome)] += chance  # type: ignore[assignment]
    assert poisson_binomial(shares) == [counted[k] for k in range(6)]


def test_most_cells_of_five_of_six_groups_drop_the_edge() -> None:
    rows = group_rows()
    most = [row for row in rows if row["empty"] > row["cells"] / 2]
    assert len(rows) == 6 and len(most) == 5
    [other] = [row for row in rows if row not in most]
    assert (other["dataset"], other["method"], other["cells"]) == ("cifar10", "DARTS", 1)
    assert other["expected"] == 0  # no edge of its cell is none
    number, p = groups_p(rows)
    shares = [row["expected"] / row["cells"] for row in rows if row is not other]
    assert number == 5 and p == pytest.approx(math.prod(shares))  # the sixth cannot


def test_the_edge_is_live_in_most_of_the_best_cells(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    import_table(shared_data / "nb201_truth.csv.gz", "v1.1", make_default=False)
    found = {row["dataset"]: row["share"] for row in live_shares(load_table("v1.1"))}
    assert found["all cells"] == pytest.approx(100 * 0.8**3)  # 0-1, 1-2 and 2-3 are not none
    assert [round(found[name]) for name in ("cifar10", "cifar100", "imagenet16")] == [
        78,
        88,
        92,
    ]


def made_rows(**p: float) -> list[Row]:
    return [
        {"edge": edge, "empty": 5, "expected": 5.0, "p": p.get(f"e{edge[0]}{edge[2]}", 0.9)}
        | {"adjusted": p.get(f"e{edge[0]}{edge[2]}", 0.9)}
        for edge in ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
    ]


def test_p2_holds_for_that_edge_alone() -> None:
    groups = group_rows()
    assert judge_dropped(edge_rows(distinct()), groups).verdict == "holds"
    assert judge_dropped(made_rows(e12=0.01, e01=0.01), groups).verdict == "holds in part"
    assert judge_dropped(made_rows(e01=0.01), groups).verdict == "cannot be said"
    assert judge_dropped(made_rows(), groups).verdict == "cannot be said"


def test_normal_cells_are_wide_and_reduction_cells_are_not_shown_to_be(tmp_path: Path) -> None:
    found = study("published-topology")
    result = run_study(found, found.options({}), tmp_path / "study")
    normal, reduction, dropped = result["verdicts"]
    assert normal["verdict"] == "holds" and normal["effect"] == 3
    assert "NASNet, ENAS, SNAS" in normal["evidence"]
    assert "chi2 = 45.04, 10 df" in normal["evidence"]
    assert normal["p"] == pytest.approx(2.1e-6, rel=0.02)
    assert reduction["verdict"] == "cannot be said" and reduction["effect"] == 0
    assert dropped["verdict"] == "holds"
    assert "14 of 16 distinct cells, 5.0 expected, exact p = 6e-08" in dropped["evidence"]
    for picture in result["pictures"]:
        assert (tmp_path / "study" / picture).read_bytes().startswith(b"\x89PNG")
