"""The Shapley value of a game, from the worth of every coalition (Shapley 1953)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def shapley(worth: ArrayLike) -> NDArray[np.float64]:
    """Split ``worth[-1] - worth[0]`` over the players.

    A player's share is its gain of worth on joining, averaged over all orders in which the
    players can join: sum over coalitions S without it of |S|! (n - |S| - 1)! / n! times
    (worth[S with it] - worth[S]). Nothing is sampled, so shares add up to rounding.

    Args:
        worth: (2**n,), at index m the worth of the players whose bits are set in m.

    Returns:
        (n,), one share a player, player 0 (the lowest bit) first.

    Raises:
        ValueError: the number of worths is no power of two.
    """
    values = np.asarray(worth, dtype=np.float64)
    players = max(values.size.bit_length() - 1, 0)
    if values.ndim != 1 or values.size != 1 << players:
        raise ValueError(f"worth: expected one value for each of 2**n sets, got {values.shape}")
    sets = np.arange(values.size)
    sizes = (sets[:, None] >> np.arange(players) & 1).sum(axis=1)
    orders = [players * math.comb(players - 1, size) for size in range(players)]
    weights = 1.0 / np.array(orders, dtype=np.float64)
    shares = []
    for player in range(players):
        without = sets[sets >> player & 1 == 0]
        gains = values[without | 1 << player] - values[without]
        shares.append(math.fsum(weights[sizes[without]] * gains))
    return np.array(shares, dtype=np.float64)
