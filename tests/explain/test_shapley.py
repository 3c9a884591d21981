from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from nni_wiring.explain import shapley


def by_permutations(worth: np.ndarray, players: int) -> np.ndarray:
    """The definition: the mean gain on joining, over all orders of joining."""
    shares = np.zeros(players)
    for order in permutations(range(players)):
        joined = 0
        for player in order:
            shares[player] += worth[joined | 1 << player] - worth[joined]
            joined |= 1 << player
    return shares / math.factorial(players)


def members(players: int) -> np.ndarray:
    """(2**players, players): who is in the set of each index."""
    return np.arange(1 << players)[:, None] >> np.arange(players) & 1


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5])
def test_equals_the_permutation_definition(players: int) -> None:
    worth = np.random.default_rng(players).normal(size=1 << players)
    np.testing.assert_allclose(shapley(worth), by_permutations(worth, players), atol=1e-12)


def test_shares_add_up_to_the_worth_of_all() -> None:
    worth = np.random.default_rng(0).uniform(10, 95, size=64)
    assert math.fsum(shapley(worth)) == pytest.approx(worth[-1] - worth[0], abs=1e-11)


def test_equal_players_of_a_symmetric_game_get_equal_shares() -> None:
    sizes = members(6).sum(axis=1)
    worth = np.array([0.0, 1.0, 1.5, 7.0, 8.0, 8.0, 9.0])[sizes]
    np.testing.assert_allclose(shapley(worth), np.full(6, 1.5), atol=1e-13)


def test_a_player_that_never_matters_gets_exactly_zero() -> None:
    worth = np.random.default_rng(1).normal(size=32)
    doubled = np.concatenate([worth, worth])  # the sixth player is the highest bit
    shares = shapley(doubled)
    assert shares[5] == 0.0
    np.testing.assert_allclose(shares[:5], shapley(worth), atol=1e-12)


def test_an_additive_game_pays_everyone_his_own_worth() -> None:
    own = np.array([3.0, -1.0, 0.5, 10.0])
    np.testing.assert_allclose(shapley(members(4) @ own), own, atol=1e-12)


def test_a_unanimity_game_is_shared_by_those_it_needs() -> None:
    inside = members(5)
    worth = (inside[:, 1] & inside[:, 2] & inside[:, 4]).astype(float)
    np.testing.assert_allclose(shapley(worth), [0, 1 / 3, 1 / 3, 0, 1 / 3], atol=1e-13)


def test_no_player_no_share() -> None:
    assert shapley([5.0]).shape == (0,)


@pytest.mark.parametrize("worth", [[], [1.0] * 3, [1.0] * 48, [[1.0, 2.0]]])
def test_refuses_what_is_no_game(worth: list[float]) -> None:
    with pytest.raises(ValueError, match=r"one value for each of 2\*\*n sets"):
        shapley(worth)
