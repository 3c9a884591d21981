"""Growth: one edge at first, and live edges that never fall along a lineage."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from nni_wiring.errors import ConfigError
from nni_wiring.tuners.growth import GrowthSampler
from nni_wiring.tuners.samplers import Cell
from search_spaces.cell_graph import live_mask
from search_spaces.graph import NB201

DIRECT = NB201.edges.index((0, 3))


class Watched(GrowthSampler):
    """Notes every child beside its parent."""

    def mutated(self, cell: Cell) -> Cell:
        child = super().mutated(cell)
        self.pairs = [*getattr(self, "pairs", []), (cell, child)]
        return child


def live(cell: Cell) -> np.ndarray:
    return live_mask(np.array([cell]))[0]


def test_it_starts_with_the_direct_edge_alone_and_each_operation_once() -> None:
    sampler = GrowthSampler(seed=1)
    cells = [sampler.ask() for _ in range(4)]
    assert {cell[DIRECT] for cell in cells} == {1, 2, 3, 4}
    assert all(sum(operation != 0 for operation in cell) == 1 for cell in cells)


@pytest.mark.parametrize("seed", range(3))
def test_live_edges_never_fall_along_a_lineage(seed: int) -> None:
    """Whatever is rewarded, here cells with few edges: all edges of all cells are live, a child
    keeps its parent's, and differs in one operation or in one or two edges more.
    """
    sampler = Watched(seed=seed, grow=0.5)
    for _ in range(400):
        cell = sampler.ask()
        sampler.tell(cell, -float(live(cell).sum()))
    assert len(sampler.pairs) == 396
    gains: Counter[int] = Counter()
    for parent, child in sampler.pairs:
        before, after = live(parent), live(child)
        assert (after == (np.array(child) != 0)).all()
        assert (after >= before).all()
        gained = int((after & ~before).sum())
        changed = sum(a != b for a, b in zip(parent, child, strict=True))
        assert changed == (gained or 1)
        gains[gained] += 1
    assert set(gains) == {0, 1, 2}


def test_the_growths_of_small_cells() -> None:
    """Spelt as sets of edges; enumerated by hand."""

    def growths(*edges: str) -> list[set[str]]:
        cell = tuple(3 if name in edges else 0 for name in NB201.edge_names)
        found = GrowthSampler().growths(cell)
        return sorted(({NB201.edge_names[e] for e in gained} for gained in found), key=sorted)

    assert growths("0-3") == [{"0-1", "1-3"}, {"0-2", "2-3"}]
    assert growths("0-1", "1-3") == [{"0-2", "2-3"}, {"0-3"}, {"1-2", "2-3"}]
    assert growths("0-3", "0-2", "2-3") == [{"0-1", "1-2"}, {"0-1", "1-3"}]
    assert growths(*NB201.edge_names) == []


def test_children_grow_at_the_rate_and_change_uniformly() -> None:
    sampler = GrowthSampler(seed=0, grow=0.3)
    parent = tuple(2 if edge == DIRECT else 0 for edge in range(6))
    children = Counter(sampler.mutated(parent) for _ in range(12_000))
    grown = {c: n for c, n in children.items() if live(c).sum() == 3}
    changed = {c: n for c, n in children.items() if live(c).sum() == 1}
    assert len(grown) == 2 * 4 * 4 and len(changed) == 3  # two nodes, two operations; three others
    expected = [0.3 * 12_000 / 32] * 32 + [0.7 * 12_000 / 3] * 3
    assert chisquare([*grown.values(), *changed.values()], expected).pvalue > 1e-4


def test_it_only_grows_where_nothing_can_change() -> None:
    choices = [(0, 3)] * 6
    sampler = GrowthSampler(choices, seed=2, grow=0.0)
    cells = [sampler.ask()]
    for _ in range(8):
        sampler.tell(cells[-1], float(len(cells)))
        cells.append(sampler.mutated(cells[-1]))
    assert [int(live(cell).sum()) for cell in cells][-1] == 6
    assert cells[-1] == cells[-2] == (3,) * 6


def test_a_space_without_the_direct_edge_grows_by_way_of_a_node() -> None:
    choices = [(0,) if edge == DIRECT else (0, 3) for edge in range(6)]
    sampler = GrowthSampler(choices, seed=0)
    empty = sampler.ask()
    assert empty == (0,) * 6
    assert int(live(sampler.mutated(empty)).sum()) == 2


@pytest.mark.parametrize("grow", [-0.1, 1.1, "0.2"])
def test_a_bad_rate_is_named(grow: object) -> None:
    with pytest.raises(ConfigError, match="grow"):
        GrowthSampler(grow=grow)  # type: ignore[arg-type]


def test_other_graphs_are_refused() -> None:
    with pytest.raises(ConfigError, match="six edges"):
        GrowthSampler([(0, 1)] * 3)
