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
