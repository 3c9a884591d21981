"""SPOS' evolution on known accuracies: better than as many random cells, and what it may cost."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from math import comb, prod
from typing import Any

import pytest
from one_shot import evaluator, random_batches, search, tiny_space
from scipy import stats

from nni_wiring.errors import ConfigError
from nni_wiring.selection.evolution import Cell, Evolution, Scheme
from nni_wiring.selection.supernet_evolution import SupernetEvolution
from nni_wiring.strategies.random_sampling import RandomSampling
from nni_wiring.strategies.sgas import SGAS
from nni_wiring.truth import load_table

CHOICES = [tuple(range(5))] * 6
SPOS = Scheme(50, 20, 10, 0.1)


@pytest.fixture(scope="module")
def truth() -> dict[Cell, float]:
    """The bundled table's CIFAR-10 validation accuracy of every cell."""
    table = load_table("bundled")
    values = dict(zip(table.codes.tolist(), table.values("cifar10", "valid").tolist(), strict=True))
    cells = itertools.product(range(5), repeat=6)
    return {cell: values[code] for code, cell in enumerate(cells)}


class Asked:
    """A known value a cell; counts how often each is asked."""

    def __init__(self, truth: dict[Cell, float]) -> None:
        self.truth, self.counts = truth, Counter[Cell]()

    def __call__(self, cell: Cell) -> float:
        self.counts[cell] += 1
        return self.truth[cell]


def evolve(
    truth: dict[Cell, float],
    seed: int,
    scheme: Scheme = SPOS,
    choices: Sequence[Sequence[int]] = CHOICES,
) -> tuple[Evolution, Asked]:
    asked = Asked(truth)
    evolution = Evolution(choices, asked, scheme, random.Random(seed))
    assert list(evolution.run()) == list(range(1, scheme.budget(choices) + 1))
    return evolution, asked


def test_it_finds_the_best_cell_more_often_than_random_draws(truth: dict[Cell, float]) -> None:
    """1,000 of 15,625 distinct random cells hold the best one in 6.4 % of all draws."""
    share = 1 - comb(len(truth) - 1, 1000) / comb(len(truth), 1000)
    assert share == pytest.approx(1000 / 15625)
    best = max(truth, key=truth.__getitem__)
    found = sum(evolve(truth, seed)[0].best() == best for seed in range(20))
    assert stats.binomtest(found, 20, share, "greater").pvalue < 1e-6


def test_the_budget_is_exact_and_no_cell_is_evaluated_twice(truth: dict[Cell, float]) -> None:
    evolution, asked = evolve(truth, 3)
    assert len(asked.counts) == asked.counts.total() == len(evolution.found) == 1000
    assert all(truth[cell] == value for cell, value in evolution.found.items())
    assert evolution.best() == max(asked.counts, key=truth.__getitem__)


def test_a_small_space_is_evaluated_whole(truth: dict[Cell, float]) -> None:
    choices = [(0, 3), (1, 2, 4), (2,), (0, 1), (3,), (1, 4)]
    evolution, asked = evolve(truth, 0, choices=choices)
    assert set(asked.counts) == set(itertools.product(*choices))
    assert asked.counts.total() == prod(map(len, choices))
    assert evolution.best() == max(itertools.product(*choices), key=truth.__getitem__)


def test_the_seed_decides(truth: dict[Cell, float]) -> None:
    scheme = Scheme(20, 4, 5, 0.1)
    one, again, other = (list(evolve(truth, seed, scheme)[0].found) for seed in (1, 1, 2))
    assert one == again != other


def test_children_come_of_the_best_parents(truth: dict[Cell, float]) -> None:
    """A crossed child has every edge from one of two; a mutated edge changes at rate m 4/5."""
    evolution = Evolution(CHOICES, truth.__getitem__, Scheme(50, 20, 2, 0.1), random.Random(0))
    pair = [(0,) * 6, (3,) * 6]
    crossed = Counter(operation for _ in range(2000) for operation in evolution.crossed(pair))
    assert set(crossed) == {0, 3}
    assert stats.binomtest(crossed[3], 12000, 0.5).pvalue > 1e-4
    moved = sum(a != 2 for _ in range(2000) for a in evolution.mutated([(2,) * 6]))
    assert stats.binomtest(moved, 12000, 0.1 * 4 / 5).pvalue > 1e-4
    # with mutation 0 and two parents, the half that is crossed mixes the two best alone
    evolution = Evolution(CHOICES, truth.__getitem__, Scheme(10, 2, 2, 0.0), random.Random(0))
    evolution.found = {pair[0]: 1.0, pair[1]: 2.0, (1,) * 6: 0.0}
    children = evolution.generation(10)
    assert len(set(children) - set(evolution.found)) == 10
    assert all(set(child) <= {0, 3} for child in children)  # of 62 mixtures


def test_in_a_search_the_best_of_its_trace_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a known accuracy in the supernet's place; two searches of one seed evolve alike."""
    monkeypatch.setattr(
        "nni_wiring.selection.supernet_ranking.supernet_accuracy",
        lambda model, batches, z, **options: float(z["cell"].argmax(-1).sum()),
    )
    settings: dict[str, Any] = {"population": 6, "generations": 3, "parents": 2}
    traces = []
    for _ in range(2):
        strategy = RandomSampling(
            selection="supernet_evolution", selection_settings=settings, epoch_samples=1
        )
        batches = random_batches(2, 0)
        restricted = tiny_space(operations={"0-1": ["skip_connect", "nor_conv_3x3"]})
        search(strategy, restricted, evaluator(batches[:1], batches[1:]))
        (group,) = strategy.groups
        assert strategy.selected is not None
        trace = strategy.selected.details["cells"]
        cells = [tuple(entry["operations"][0]) for entry in trace]
        assert len(set(cells)) == len(cells) == 18
        assert {cell[0] for cell in cells} <= set(group.allowed[0])
        assert strategy.chosen(group) == list(max(cells, key=sum))
        assert strategy.selected.details["supernet_accuracy"] == max(map(sum, cells))
        traces.append(trace)
    assert traces[0] == traces[1]


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="mutation"):
        SupernetEvolution(mutation=1.5)
    with pytest.raises(ConfigError, match="supernet_evolution"):
        SGAS(selection="supernet_evolution")
