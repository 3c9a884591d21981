"""Arch strings both ways, enumeration and probabilities of the NAS-Bench-201 cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from search_spaces.cell_graph import (
    NB201,
    OPERATIONS,
    Wiring,
    all_cells,
    cell_code,
    cell_probabilities,
    format_arch,
    parse_arch,
    topology,
)
from search_spaces.errors import SpaceError

# From the README of the official API, with the operations read off by hand.
OFFICIAL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
OFFICIAL_INDICES = (3, 3, 4, 1, 3, 1)


def test_official_string_reads_and_writes() -> None:
    assert parse_arch(OFFICIAL) == OFFICIAL_INDICES
    assert format_arch(OFFICIAL_INDICES) == OFFICIAL
    assert parse_arch(f"  {OFFICIAL}\n") == OFFICIAL_INDICES


def test_all_strings_are_distinct_and_read_back_in_code_order() -> None:
    strings = [format_arch(cell) for cell in all_cells()]
    assert len(set(strings)) == 5**6
    assert [parse_arch(arch) for arch in strings] == list(product(range(5), repeat=6))


@pytest.mark.parametrize(
    ("arch", "named"),
    [
        ("", ["not an arch string", "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"]),
        ("   ", ["not an arch string"]),
        (None, ["not an arch string"]),
        ("garbage", ["1 node(s)", "3 belong"]),
        (OFFICIAL + "+|none~0|", ["4 node(s)", "3 belong"]),
        (OFFICIAL.replace("+", ""), ["1 node(s)"]),
        (OFFICIAL.strip("|"), ["node 1", "bars"]),
        ("||+||+||", ["''", "0-1", "~0"]),
        ("|none~0|none~1|+||+||", ["node 1", "2 edge(s)", "needs 1"]),
        (OFFICIAL.replace("|skip_connect~2|", "|"), ["node 3", "2 edge(s)", "needs 3"]),
        (OFFICIAL.replace("avg_pool_3x3~1", "avg_pool_3x3~0"), ["'avg_pool_3x3~0'", "1-2", "~1"]),
        (OFFICIAL.replace("skip_connect~2", "skip_connect~3"), ["'skip_connect~3'", "2-3", "~2"]),
        (OFFICIAL.replace("skip_connect~2", "skip_connect"), ["'skip_connect'", "2-3"]),
        (OFFICIAL.replace("avg_pool_3x3", "max_pool_3x3"), ["'max_pool_3x3'", "1-2", *OPERATIONS]),
        (OFFICIAL.replace("avg_pool_3x3", ""), ["''", "1-2", *OPERATIONS]),
        (OFFICIAL.replace("avg_pool", "avg\npool"), ["1-2", *OPERATIONS]),
        ("x" * 1_000_000, ["1 node(s)"]),
        ("|" * 1_000_000, ["1 node(s)"]),
        (OFFICIAL.replace("avg_pool_3x3", "y" * 1_000_000), ["1-2", *OPERATIONS]),
    ],
)
def test_bad_string_is_refused_in_one_line(arch: str, named: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_arch(arch)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    for part in named:
        assert part in message
    with pytest.raises(SpaceError):
        Wiring.from_arch(arch)


@pytest.mark.parametrize(
    "indices", [(), (0, 1, 2), (0,) * 7, (0, 0, 0, 0, 0, 5), (0, 0, -1, 0, 0, 0), (0.5,) * 6]
)
def test_bad_indices_are_refused(indices: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError):
        format_arch(indices)
    with pytest.raises(SpaceError):
        Wiring.from_indices(indices)
    with pytest.raises(SpaceError):
        cell_code(np.array(indices))
    with pytest.raises(SpaceError):
        topology(np.array(indices))


def test_enumeration_is_lexicographic_and_code_is_its_row() -> None:
    cells = all_cells()
    assert cells.dtype == np.uint8
    np.testing.assert_array_equal(cells, list(product(range(5), repeat=6)))
    np.testing.assert_array_equal(cell_code(cells), np.arange(5**6))
    assert cell_code(OFFICIAL_INDICES) == int("334131", base=5)
    assert cell_code(cells[:8].reshape(2, 4, 6)).shape == (2, 4)
    with pytest.raises(ValueError, match="read-only"):
        cells[0, 0] = 1


@pytest.mark.parametrize("seed", range(5))
def test_probabilities_are_products_over_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(5, 0.5), size=6)
    probabilities = cell_probabilities(p)
    assert probabilities.dtype == np.float64
    for code in rng.integers(0, 5**6, size=50):
        digits = [int(digit) for digit in np.base_repr(code, 5).zfill(6)]
        expected = np.prod([p[edge, digit] for edge, digit in enumerate(digits)])
        assert probabilities[code] == pytest.approx(expected, rel=1e-12)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_expectations_agree_with_closed_forms(seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(5, 0.5), size=6)
    probabilities = cell_probabilities(p)
    figures = topology(all_cells())
    pass_01, pass_02, pass_12, pass_03, pass_13, pass_23 = 1 - p[:, 0]
    # an expectation of a sum needs no independence; a path's probability is a product
    assert probabilities @ figures.none_edges == pytest.approx(p[:, 0].sum())
    paths = pass_03 + pass_01 * pass_13 + pass_02 * pass_23 + pass_01 * pass_12 * pass_23
    assert probabilities @ figures.live_paths == pytest.approx(paths)
    # condition on node 1: without it 0-3 or 0-2-3; with it node 2 is fed by either edge
    fed = 1 - (1 - pass_02) * (1 - pass_12)
    without = 1 - (1 - pass_03) * (1 - pass_02 * pass_23)
    with_1 = 1 - (1 - pass_03) * (1 - pass_13) * (1 - fed * pass_23)
    connected = (1 - pass_01) * without + pass_01 * with_1
    assert probabilities @ figures.connected == pytest.approx(connected)
    alive = pass_01 * pass_12 * pass_23
    assert probabilities @ figures.intermediate_alive == pytest.approx(alive)


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(SpaceError, match=r"\(6, 5\)"):
        cell_probabilities(np.ones((5, 6)) / 5)


def test_edges_of_the_string_are_those_of_the_graph() -> None:
    for edge, (source, target) in enumerate(NB201.edges):
        indices = [0] * 6
        indices[edge] = 4
        node = format_arch(indices).split("+")[target - 1]
        assert node.strip("|").split("|")[source] == f"avg_pool_3x3~{source}"
