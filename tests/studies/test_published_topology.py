"""Width and depth of published cells against brute enumeration and hand-computed tails."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path

import pytest

from nni_wiring.studies.frame import run_study
from nni_wiring.studies.published_topology import (
    CellType,
    cell_rows,
    depth_distribution,
    mean,
    width_distribution,
)
from nni_wiring.studies.registry import study

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


def test_normal_cells_are_wide_and_reduction_cells_are_not_shown_to_be(tmp_path: Path) -> None:
    found = study("published-topology")
    result = run_study(found, found.options({}, paper=False), tmp_path / "study")
    normal, reduction = result["verdicts"]
    assert normal["verdict"] == "holds" and normal["effect"] == 3
    assert "NASNet, ENAS, SNAS" in normal["evidence"]
    assert "chi2 = 45.04, 10 df" in normal["evidence"]
    assert normal["p"] == pytest.approx(2.1e-6, rel=0.02)
    assert reduction["verdict"] == "cannot be said" and reduction["effect"] == 0
    for picture in result["pictures"]:
        assert (tmp_path / "study" / picture).read_bytes().startswith(b"\x89PNG")
