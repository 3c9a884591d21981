"""Verdict and null against brute force with networkx and against the enumerated counts."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from nni_wiring.report.verdict import collapse, collapse_rates, null_rows
from search_spaces.cell_graph import NB201, OPERATIONS, Wiring

# Joint counts of (width, depth) over the 15,625 cells, enumerated independently (theory, section 5)
WIDTHS = {0.0: 341 + 1364, 1.0: 4640 + 1600, 1.5: 6400, 2.0: 1280}
DEPTHS = {0: 341, 1: 1364, 2: 5920, 3: 8000}
FIRST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"


def brute_force(wiring: Wiring) -> str | None:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(4))
    chosen = dict(zip(NB201.edges, wiring.operations, strict=True))
    graph.add_edges_from(edge for edge, name in chosen.items() if name != "none")
    paths = nx.all_simple_edge_paths(graph, 0, 3)
    live = {edge for path in paths for edge in path}
    if not live:
        return "none"
    skips = sum(chosen[edge] == "skip_connect" for edge in live)
    return "skip" if skips > len(live) / 2 else None


def test_verdict_equals_brute_force() -> None:
    draw = random.Random(3)
    seen = set()
    for _ in range(400):
        weights = draw.choice([(1, 1, 1, 1, 1), (3, 6, 1, 1, 1), (8, 1, 1, 1, 1)])
        wiring = Wiring(NB201, tuple(draw.choices(OPERATIONS, weights, k=6)))
        assert collapse(wiring) == brute_force(wiring), wiring.arch
        seen.add(collapse(wiring))
    assert seen == {"skip", "none", None}


def test_rates_of_random_cells() -> None:
    rates = collapse_rates()
    assert rates["none"] == 341 / 15625
    # 1,983 cells have conv depth 0, the 341 disconnected ones among them (theory, section 5)
    assert rates["no convolution"] == pytest.approx((1983 - 341) / 15625)
    counted = 0
    for code in range(0, 15625, 25):  # every 25th cell: the last two edges are none there
        digits = [code // 5**place % 5 for place in range(5, -1, -1)]
        counted += collapse(Wiring.from_indices(digits)) == "skip"
    # 1-3 and 2-3 none: only 0-3 can be live, so the verdict is skip for its one operation in 5
    assert counted == 625 / 5
    assert 0 < rates["skip"] < 0.2


@pytest.mark.parametrize(("figure", "counts"), [("width", WIDTHS), ("depth", DEPTHS)])
def test_null_equals_the_enumerated_counts(figure: str, counts: dict[float, int]) -> None:
    row = next(row for row in null_rows(Wiring.from_arch(FIRST)) if row.key == figure)
    assert row.value == {"width": 1.5, "depth": 3}[figure]
    assert row.at_least == sum(n for value, n in counts.items() if value >= row.value) / 15625
    assert row.at_most == sum(n for value, n in counts.items() if value <= row.value) / 15625
    assert row.mean == pytest.approx(sum(value * n for value, n in counts.items()) / 15625)
