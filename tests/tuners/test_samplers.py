from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from nni_wiring.errors import ConfigError
from nni_wiring.tuners.bayes import BayesSampler, graph_features
from nni_wiring.tuners.samplers import (
    ALL_CHOICES,
    Cell,
    EvolutionSampler,
    LocalSearchSampler,
    RandomSampler,
    ReinforceSampler,
    Sampler,
)
from nni_wiring.tuners.simulate import METHODS
from search_spaces.cell_graph import cell_code, live_mask

SMALL = ((0, 3), (1, 2, 4), (0, 1, 2, 3, 4), (2,), (0, 4), (3, 1))


def score(cell: Cell) -> float:
    """A smooth objective whose best cell is all nor_conv_3x3 (or the nearest allowed)."""
    return 50.0 - sum((operation - 3) ** 2 for operation in cell)


def make(method: str, **options: object) -> Sampler:
    return METHODS[method](**options)


@pytest.mark.parametrize("method", METHODS)
def test_only_allowed_cells_are_asked(method: str) -> None:
    sampler = make(method, choices=SMALL, seed=3)
    for _ in range(40):
        cell = sampler.ask()
        assert len(cell) == 6 and all(op in edge for op, edge in zip(cell, SMALL, strict=True))
        sampler.tell(cell, score(cell))


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides(method: str) -> None:
    def cells(seed: int) -> list[Cell]:
        sampler = make(method, seed=seed)
        found = []
        for _ in range(16):
            found.append(sampler.ask())
            sampler.tell(found[-1], score(found[-1]))
        return found

    assert cells(1) == cells(1) != cells(2)


@pytest.mark.parametrize("method", METHODS)
def test_lost_and_late_answers_do_no_harm(method: str) -> None:
    sampler = make(method, seed=0)
    open_cells = []
    for step in range(60):
        open_cells.append(sampler.ask())
        if step % 3 == 2:  # every third cell never answers, the others come late and swapped
            for cell in reversed(open_cells[1:]):
                sampler.tell(cell, score(cell))
            open_cells = []


@pytest.mark.parametrize("method", ["evolution", "growth", "local_search", "reinforce", "bayes"])
def test_learning_beats_random_on_a_smooth_objective(method: str) -> None:
    budget = {"reinforce": 1500, "bayes": 40}.get(method, 300)

    def mean_of_last(name: str) -> float:
        sampler, values = make(name, seed=5), []
        for _ in range(budget):
            cell = sampler.ask()
            values.append(score(cell))
            sampler.tell(cell, values[-1])
        return max(values) + float(np.mean(values[-20:]))

    assert mean_of_last(method) > mean_of_last("random") + 3


def test_random_is_uniform() -> None:
    sampler = RandomSampler(seed=0)
    cells = np.array([sampler.ask() for _ in range(20_000)])
    for column in cells.T:
        assert chisquare(np.bincount(column, minlength=5)).pvalue > 1e-4


def test_neighbours_differ_in_one_edge() -> None:
    cell = (0, 1, 2, 3, 4, 0)
    found = RandomSampler().neighbours(cell)
    assert len(set(found)) == 24
    assert all(sum(a != b for a, b in zip(cell, other, strict=True)) == 1 for other in found)


def test_evolution_ages_and_mutates_the_best_of_the_sample() -> None:
    sampler = EvolutionSampler(seed=0, population=4, sample=4)
    asked = [sampler.ask() for _ in range(4)]
    for value, cell in enumerate(asked):
        sampler.tell(cell, float(value))
    assert [cell for _, cell in sampler.population] == asked
    children = set()
    for _ in range(400):
        child = sampler.ask()
        best = {sum(a != b for a, b in zip(child, parent, strict=True)) for parent in asked}
        assert 1 in best
        children.add(child)
    # with replacement: the sample of 4 misses the best with probability (3/4)^4
    parents = [max(p for p in asked if _distance(p, child) == 1) for child in children]
    assert len(parents) == len(children) > 24
    sampler.tell((0,) * 6, 9.0)
    assert asked[0] not in [cell for _, cell in sampler.population]


def _distance(a: Cell, b: Cell) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def test_mutation_is_uniform_over_neighbours() -> None:
    sampler = EvolutionSampler(seed=0, population=2, sample=1)
    cell = (0, 1, 2, 3, 4, 0)
    for _ in range(2):
        sampler.ask()
        sampler.tell(cell, 1.0)
    counts = dict.fromkeys(sampler.neighbours(cell), 0)
    for _ in range(12_000):
        counts[sampler.ask()] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_reinforce_takes_the_step_of_adam() -> None:
    torch = pytest.importorskip("torch")
    sampler = ReinforceSampler(seed=0, learning_rate=0.05, momentum=0.5)
    logits = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.05)
    generator = np.random.default_rng(0)
    average, weight = 0.0, 0.0
    for _ in range(20):
        cell = tuple(generator.integers(0, 5, 6).tolist())
        value = float(generator.uniform(0, 100))
        average, weight = 0.5 * average + 0.5 * value, 0.5 * weight + 0.5
        log_p = torch.log_softmax(logits, 1)[range(6), cell].sum()
        adam.zero_grad()
        (-(value - average / weight) * log_p).backward()
        adam.step()
        sampler.tell(cell, value)
    np.testing.assert_allclose(sampler.logits, logits.detach().numpy(), rtol=1e-6, atol=1e-9)


def test_reinforce_never_draws_what_is_not_allowed() -> None:
    sampler = ReinforceSampler(SMALL, seed=0)
    probabilities = sampler.probabilities
    assert probabilities[3].tolist() == [1.0, 0, 0, 0, 0]
    assert probabilities[0].tolist() == [0.5, 0.5, 0, 0, 0]


def test_local_search_climbs_to_the_top_and_starts_anew() -> None:
    sampler = LocalSearchSampler(seed=0)
    asked = []
    for _ in range(200):
        cell = sampler.ask()
        asked.append(cell)
        sampler.tell(cell, score(cell))
    top = (3,) * 6
    assert top in asked
    # around the top nothing is better, so a fresh climb begins
    assert len({_distance(cell, top) for cell in asked[asked.index(top) + 25 :]}) > 2


def test_graph_features_are_those_of_the_live_graph() -> None:
    features = graph_features()

    def row(*cell: int) -> np.ndarray:
        return features[int(cell_code(np.array(cell)))]

    # 0-1 leads nowhere when 1-2 and 1-3 are none: its operation cannot matter
    for operation in range(5):
        np.testing.assert_array_equal(row(operation, 3, 0, 2, 0, 1), row(0, 3, 0, 2, 0, 1))
    assert not np.array_equal(row(3, 3, 3, 3, 3, 3), row(3, 3, 3, 3, 3, 2))
    # exchanging the two routes 0-1-3 and 0-2-3 gives the same graph
    np.testing.assert_array_equal(row(3, 1, 0, 0, 2, 4), row(1, 3, 0, 0, 4, 2))
    assert features[0].sum() == 0


def test_equal_graph_features_mean_equal_live_operations() -> None:
    features = graph_features()
    generator = np.random.default_rng(0)
    cells = generator.integers(0, 5, (300, 6))
    codes = cell_code(cells)
    live = live_mask(cells)
    for a, b in itertools.combinations(range(300), 2):
        if np.array_equal(features[codes[a]], features[codes[b]]):
            assert sorted(cells[a][live[a]]) == sorted(cells[b][live[b]])


def test_bayes_never_asks_twice_and_finds_the_best_of_a_small_space() -> None:
    sampler = BayesSampler(SMALL, seed=0, start=5)
    size = int(np.prod([len(edge) for edge in SMALL]))
    asked = []
    for _ in range(30):
        cell = sampler.ask()
        sampler.tell(cell, score(cell))
        asked.append(cell)
    assert len(set(asked[5:])) == 25 and size == 120
    best = max(itertools.product(*SMALL), key=score)
    assert score(max(asked, key=score)) == score(best)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("evolution", {"population": 1}),
        ("evolution", {"population": "10"}),
        ("evolution", {"sample": 11}),
        ("evolution", {"sample": True}),
        ("reinforce", {"learning_rate": 0}),
        ("reinforce", {"learning_rate": float("nan")}),
        ("reinforce", {"momentum": 1.0}),
        ("bayes", {"start": 1}),
        ("bayes", {"window": 3}),
        ("random", {"choices": ((),)}),
    ],
)
def test_a_bad_option_is_named(method: str, options: dict) -> None:
    named = "search space" if "choices" in options else next(iter(options))
    with pytest.raises(ConfigError, match=named):
        make(method, **options)


def test_choices_default_to_the_whole_space() -> None:
    assert [len(edge) for edge in ALL_CHOICES] == [5] * 6
