"""Information of a policy over cells, exactly: p(cell) is written out for the whole space."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import softmax, xlogy

Floats = NDArray[np.float64]


class Reference(NamedTuple):
    """The best policy of an entropy, p ~ exp(value / temperature).

    entropy, total_correlation: nats. expectation: of the value.
    """

    temperature: float
    entropy: float
    expectation: float
    total_correlation: float


def entropy(p: Floats) -> float:
    """H in nats; 0 log 0 = 0."""
    return float(-xlogy(p, p).sum())


def marginal(p: Floats, *edges: int) -> Floats:
    """Of some axes. p: one axis an edge."""
    return p.sum(axis=tuple(axis for axis in range(p.ndim) if axis not in edges))


def total_correlation(p: Floats) -> float:
    """sum_e H(p_e) - H(p), nats: 0 exactly where edges are independent. p: one axis an edge."""
    return sum(entropy(marginal(p, edge)) for edge in range(p.ndim)) - entropy(p)


def past_information(p: Floats) -> list[float]:
    """I(operation of e; operations of the edges before e), nats, edge by edge; the first is 0."""
    found = []
    for edge in range(p.ndim):
        past, both = range(edge), range(edge + 1)
        found.append(
            entropy(marginal(p, edge)) + entropy(marginal(p, *past)) - entropy(marginal(p, *both))
        )
    return found


def tempered(values: Floats, temperature: float) -> Reference:
    """The policy p ~ exp(value / temperature), which has the largest expectation of its entropy."""
    p = softmax(values / temperature)
    return Reference(temperature, entropy(p), float((p * values).sum()), total_correlation(p))


def reference(values: Floats, nats: float) -> Reference:
    """The best policy of an entropy between that of the best cells and that of all cells.

    Args:
        values: of all cells, one axis an edge.
        nats: the entropy, below log(cells).
    """
    at = brentq(lambda log_t: tempered(values, np.exp(log_t)).entropy - nats, -7, 12)
    return tempered(values, float(np.exp(at)))


class Frontier(NamedTuple):
    """The most that independent edges can expect at an entropy (nats), from low to high entropy."""

    entropies: Floats
    expectations: Floats

    def at(self, nats: float) -> float:
        """The best expectation at an entropy, between the points by a line."""
        return float(np.interp(nats, self.entropies, self.expectations))


def independent(values: Floats, temperature: float, start: list[Floats]) -> list[Floats]:
    """Marginals of independent edges that no change of one edge betters in E[value] + T H: edge by
    edge q(op) ~ exp(E[value | op] / T), from ``start``. values: one axis an edge.
    """
    q = list(start)
    for _ in range(500):
        moved = 0.0
        for edge in range(values.ndim):
            rest = np.moveaxis(values, edge, 0)
            for other in reversed([p for place, p in enumerate(q) if place != edge]):
                rest = rest @ other
            new = softmax(rest / temperature)
            moved = max(moved, float(np.abs(new - q[edge]).max()))
            q[edge] = new
        if moved < 1e-7:
            break
    return q


def independent_frontier(values: Floats, points: int = 100) -> Frontier:
    """By coordinate ascent from uniform edges, the temperature lowered from point to point."""
    q = [np.full(n, 1 / n) for n in values.shape]
    spread = float(values.std())
    found = []
    for temperature in np.geomspace(100 * spread, spread / 200, points):
        q = independent(values, float(temperature), q)
        expected = values
        for p in reversed(q):
            expected = expected @ p
        found.append((sum(entropy(p) for p in q), float(expected)))
    entropies, expectations = np.array(sorted(found)).T
    return Frontier(entropies, expectations)
