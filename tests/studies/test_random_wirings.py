"""Random wirings against exact distributions, and S3's against the widths of its own variants."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import combinations, product
from math import comb

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from nni_wiring.studies.published_topology import CELLS, CellType, mean, width_distribution
from nni_wiring.studies.random_wirings import (
    GENERATORS,
    Sources,
    barabasi_albert,
    depth,
    erdos_renyi,
    random_conn,
    two_a_node,
    watts_strogatz,
    width,
)

#: Sources of the published normal and reduction cells, as their genotypes list them.
PUBLISHED = {
    "normal": {
        "NASNet": "10 00 10 00 11",
        "AmoebaNet": "01 02 03 11 01",
        "ENAS": "11 10 01 01 10",
        "DARTS": "01 01 10 02",
        "SNAS": "01 01 01 01",
    },
    "reduction": {
        "NASNet": "10 10 10 32 21",
        "AmoebaNet": "01 02 01 01 05",
        "ENAS": "01 11 11 41 50",
        "DARTS": "01 21 02 21",
        "SNAS": "01 21 12 20",
    },
}
#: Widths of CONN1 to CONN10 in the authors' genotypes.py, normal and reduction cells: of the four
#: nodes of DARTS and SNAS, of the five of NASNet, AmoebaNet and ENAS.
THEIRS = {
    4: (
        [2.5, 2.0, 3.0, 3.5, 2.5, 2.5, 3.0, 2.5, 3.0, 3.5],
        [3.5, 1.5, 3.0, 2.0, 2.5, 2.5, 2.0, 3.0, 2.5, 4.0],
    ),
    5: (
        [2.5, 2.0, 3.0, 3.5, 3.5, 3.0, 3.5, 2.5, 3.5, 3.5],
        [3.5, 1.5, 3.5, 2.0, 2.5, 3.0, 2.0, 3.5, 2.5, 4.5],
    ),
}
DRAWS = 1500


def mean_width(wirings: list[Sources]) -> tuple[float, float]:
    """Mean and standard error."""
    widths = [float(width(sources)) for sources in wirings]
    return float(np.mean(widths)), float(np.std(widths)) / len(widths) ** 0.5


@pytest.mark.parametrize("kind", PUBLISHED)
def test_width_and_depth_of_the_published_cells(kind: str) -> None:
    for cell in CELLS[kind]:
        pairs = PUBLISHED[kind][cell.name].split()
        sources = tuple((int(pair[0]), int(pair[1])) for pair in pairs)
        assert (width(sources), depth(sources)) == (cell.width, cell.depth)


@pytest.mark.parametrize("nodes", THEIRS)
def test_s3_s_ten_variants_have_the_widths_of_their_file(nodes: int) -> None:
    drawn = [random_conn(nodes, seed) for seed in range(1, 11)]
    normal, reduce = THEIRS[nodes]
    assert [float(width(one.normal)) for one in drawn] == normal
    assert [float(width(one.reduce)) for one in drawn] == reduce
    assert drawn[0].normal[:4] == ((1, 0), (1, 0), (1, 3), (4, 2))


@pytest.mark.parametrize("nodes", [4, 5])
def test_random_conn_is_uniform_with_replacement(nodes: int) -> None:
    """E[width] = 2.5667 for four nodes, and the whole distribution."""
    drawn = [random_conn(nodes, seed).normal for seed in range(DRAWS)]
    found, error = mean_width(drawn)
    assert found == pytest.approx(sum(2 / (2 + j) for j in range(nodes)), abs=4 * error)
    exact = width_distribution(CellType(nodes, repeats=True))
    widths = [width(sources) for sources in drawn]
    common = [w for w, p in exact.items() if p * DRAWS > 5]
    observed = [widths.count(w) for w in common]
    rest = 1 - sum(exact[w] for w in common)
    expected = [float(exact[w]) * DRAWS for w in common]
    if rest:
        observed.append(DRAWS - sum(observed))
        expected.append(float(rest) * DRAWS)
    assert stats.chisquare(observed, expected).pvalue > 1e-4
    assert any(first == second for pair in drawn for first, second in pair)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_node_has_two_earlier_states_and_the_seed_decides(name: str) -> None:
    wirings = [GENERATORS[name](4, seed) for seed in (*range(50), 0)]
    assert wirings[0] == wirings[-1] and len(set(wirings)) > 10
    for sources in wirings:
        assert len(sources) == 4
        for node, (first, second) in enumerate(sources):
            assert min(first, second) >= 0 and max(first, second) < 2 + node
            assert name == "conn" or first < second


def kept_inputs(inputs: int, inner: int) -> Fraction:
    """E[input edges] of a node with so many predecessors of either kind, after two_a_node."""
    if inputs + inner > 2:
        return Fraction(2 * inputs, inputs + inner)
    return Fraction(2 - inner)


@pytest.mark.parametrize("p", [0.0, 0.3, 4 / 7, 1.0])
def test_er_s_width_is_that_of_binomial_predecessors(p: float) -> None:
    """p = 1: uniform without replacement; p = 0: inputs alone."""
    expected = 0.0
    for j in range(4):
        for a, b in product(range(3), range(j + 1)):
            chance = comb(2, a) * comb(j, b) * p ** (a + b) * (1 - p) ** (2 + j - a - b)
            expected += chance * float(kept_inputs(a, b)) / 2
    if p == 1.0:
        uniform = float(mean(width_distribution(CellType(4, repeats=False))))
        assert expected == pytest.approx(uniform) == pytest.approx(2.5667, abs=1e-4)
    found, error = mean_width([erdos_renyi(4, seed, p) for seed in range(DRAWS)])
    assert found == pytest.approx(expected, abs=4 * error + 1e-12)


def test_er_s_default_has_two_edges_a_node_on_average() -> None:
    default = [erdos_renyi(4, seed) for seed in range(20)]
    assert default == [erdos_renyi(4, seed, 8 / 14) for seed in range(20)]
    assert default != [erdos_renyi(4, seed, 0.5) for seed in range(20)]


def test_ba_s_width_by_enumeration_of_all_attachments() -> None:
    """Two different earlier states in turn, each in proportion to its degree among those left."""
    states: dict[tuple[tuple[int, ...], int], Fraction] = {((1, 1), 0): Fraction(1)}
    for _ in range(4):
        grown: dict[tuple[tuple[int, ...], int], Fraction] = defaultdict(Fraction)
        for (degrees, inputs), chance in states.items():
            total = sum(degrees)
            for pair in combinations(range(len(degrees)), 2):
                a, b = (degrees[s] for s in pair)
                p = Fraction(a, total) * Fraction(b, total - a)
                p += Fraction(b, total) * Fraction(a, total - b)
                moved = (*(d + (s in pair) for s, d in enumerate(degrees)), 2)
                grown[moved, inputs + sum(s < 2 for s in pair)] += chance * p
        states = grown
    assert sum(states.values()) == 1
    expected = float(sum(inputs * p for (_, inputs), p in states.items())) / 2
    found, error = mean_width([barabasi_albert(4, seed) for seed in range(DRAWS)])
    assert expected > 2.5667 + 0.05  # the first to come are preferred
    assert found == pytest.approx(expected, abs=4 * error)


def test_ws_without_rewiring_is_the_ring() -> None:
    """Six states, each joined to the four nearest: predecessors 01, 12, 023, 0134."""
    found, error = mean_width([watts_strogatz(4, seed, p=0.0) for seed in range(DRAWS)])
    assert found == pytest.approx((2 + 1 + 2 / 3 + 1) / 2, abs=4 * error)
    assert all(watts_strogatz(4, seed, p=0.0)[:2] == ((0, 1), (1, 2)) for seed in range(5))


def test_a_node_keeps_two_of_many_and_gets_inputs_for_few() -> None:
    graph = nx.Graph([(0, 1), (0, 3), (2, 4), (3, 4), (2, 5), (3, 5), (4, 5)])
    seen = {two_a_node(graph, seed) for seed in range(200)}
    assert {sources[0] for sources in seen} == {(0, 1)}  # nothing before it
    assert {sources[1] for sources in seen} == {(0, 1)}  # 0, and the input that it lacks
    assert {sources[2] for sources in seen} == {(2, 3)}
    assert {sources[3] for sources in seen} == {(2, 3), (2, 4), (3, 4)}
