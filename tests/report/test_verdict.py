"""Verdict and null against brute force with networkx and against the enumerated counts."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from nni_wiring.report.verdict import COLLAPSES, collapse, collapse_rates, null_rows
from search_spaces.cell_codes import NASBENCH201
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
    names = [chosen[edge] for edge in live]
    if names.count("skip_connect") > len(names) / 2:
        return "skip"
    if names.count("avg_pool_3x3") > len(names) / 2:
        return "pooling"
    convolutions = [name for name in names if name in ("nor_conv_1x1", "nor_conv_3x3")]
    return "no parameters" if len(convolutions) < len(names) / 2 else None


def test_verdict_equals_brute_force() -> None:
    draw = random.Random(3)
    seen = set()
    for _ in range(400):
        weights = draw.choice([(1, 1, 1, 1, 1), (3, 6, 1, 1, 1), (8, 1, 1, 1, 1)])
        wiring = Wiring(NB201, tuple(draw.choices(OPERATIONS, weights, k=6)))
        assert collapse(wiring) == brute_force(wiring), wiring.arch
        seen.add(collapse(wiring))
    assert seen == {"skip", "pooling", "no parameters", "none", None}


def test_rates_of_random_cells() -> None:
    rates = collapse_rates()
    assert rates["none"] == 341 / 15625
    cells = [Wiring.from_indices(cell) for cell in NASBENCH201.cells.tolist()]
    verdicts = [collapse(cell) for cell in cells]
    for verdict in COLLAPSES:
        assert rates[verdict] == pytest.approx(verdicts.count(verdict) / 15625)
    # 1,983 cells have no convolution on a live path, the disconnected ones among them (theory,
    # section 5): all of them are collapsed
    bare = [v for cell, v in zip(cells, verdicts, strict=True) if cell.topology().conv_depth == 0]
    assert len(bare) == 1983 and None not in bare


@pytest.mark.parametrize(("figure", "counts"), [("width", WIDTHS), ("depth", DEPTHS)])
def test_null_equals_the_enumerated_counts(figure: str, counts: dict[float, int]) -> None:
    row = next(row for row in null_rows(Wiring.from_arch(FIRST)) if row.key == figure)
    assert row.value == {"width": 1.5, "depth": 3}[figure]
    assert row.at_least == sum(n for value, n in counts.items() if value >= row.value) / 15625
    assert row.at_most == sum(n for value, n in counts.items() if value <= row.value) / 15625
    assert row.mean == pytest.approx(sum(value * n for value, n in counts.items()) / 15625)
