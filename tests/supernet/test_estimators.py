"""Stochastic relaxations in the mean over many draws, against exact enumeration of a two-edge cell;
the laws of their draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from two_edge_cell import Chain, distribution, one_hots, seeded

from nni_wiring.supernet.relaxations import (
    BinaryGates,
    Concrete,
    OneHotScore,
    Relaxation,
    StraightThroughGumbel,
)

pytestmark = pytest.mark.usefixtures("float64")


# --- estimators: the mean over many draws against enumeration ---


class Moments:
    """Mean and standard error of alpha's gradient over draws; costs of equal draws are reused."""

    def __init__(self, chain: Chain, relaxation: Relaxation, draws: int, phase: str) -> None:
        generator, known = seeded(11), {}
        found = torch.empty(draws, 2, 3)
        for n in range(draws):
            draw = relaxation.draw(chain.group, phase, generator)
            key = (draw.active, tuple(draw.z.detach().argmax(-1).tolist()))
            if key not in known:
                leaf = draw.z.detach().requires_grad_()
                chain.loss(draw._replace(z=leaf)).backward()
                known[key] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            if relaxation.pathwise:
                (found[n],) = torch.autograd.grad(draw.z, chain.group.alpha, known[key])
            else:
                found[n] = relaxation.alpha_gradient(chain.group, draw, known[key]).detach()
        self.mean = found.mean(0)
        self.error = found.std(0) / draws**0.5

    def deviation(self, exact: torch.Tensor) -> torch.Tensor:
        """Distance from ``exact`` in standard errors."""
        return (self.mean - exact) / self.error.clamp_min(1e-12)


def expected_loss_gradient(chain: Chain) -> torch.Tensor:
    """d/dalpha of E[L(Z)], Z one-hot, by enumeration of the nine cells."""
    alpha = chain.group.alpha.detach().requires_grad_()
    p = distribution(alpha)
    total = sum((p[0] @ z[0]) * (p[1] @ z[1]) * chain.exact_loss(z).detach() for z in one_hots())
    return torch.autograd.grad(total, alpha)[0]


def expected_score(chain: Chain) -> torch.Tensor:
    """E[grad log p(Z_e) C(Z_e)], by enumeration: what DSNAS descends along."""
    p = distribution(chain.group.alpha.detach())
    total = torch.zeros(2, 3)
    for z in one_hots():
        probability = (p[0] @ z[0]) * (p[1] @ z[1])
        total += probability * (z - p) * (z * chain.costs(z)).sum(-1, keepdim=True)
    return total


def test_dsnas_is_unbiased_for_the_expected_loss_where_the_loss_is_linear() -> None:
    chain = Chain()
    exact = expected_loss_gradient(chain)
    torch.testing.assert_close(expected_score(chain), exact)
    moments = Moments(chain, OneHotScore(), 4000, "joint")
    assert moments.deviation(exact).abs().max() < 4
    assert (exact / moments.error).abs().max() > 20  # the draws are many enough to tell


def test_dsnas_is_unbiased_for_its_own_objective_and_biased_for_the_loss_else() -> None:
    chain = Chain(bend=True)
    moments = Moments(chain, OneHotScore(), 4000, "joint")
    assert moments.deviation(expected_score(chain)).abs().max() < 4
    assert moments.deviation(expected_loss_gradient(chain)).abs().max() > 10


def test_gdas_is_biased_but_descends() -> None:
    chain = Chain()
    exact = expected_loss_gradient(chain)
    moments = Moments(chain, StraightThroughGumbel(1.0), 4000, "alpha")
    assert moments.deviation(exact).abs().max() > 10
    assert (moments.mean * exact).sum() > 0


def test_proxyless_mean_equals_its_enumeration() -> None:
    chain = Chain(bend=True)
    p = distribution(chain.group.alpha.detach())
    sides = []  # of one edge: (probability, pair, open gate, q)
    for edge in range(2):
        rows = []
        for pair in itertools.combinations(range(3), 2):
            i, j = pair
            chance = p[edge, i] * p[edge, j] * (1 / (1 - p[edge, i]) + 1 / (1 - p[edge, j]))
            q = p[edge, list(pair)] / p[edge, list(pair)].sum()
            rows += [(chance * q[n], pair, pair[n], q) for n in range(2)]
        sides.append(rows)
    exact = torch.zeros(2, 3)
    for both in itertools.product(*sides):
        z = torch.eye(3)[[side[2] for side in both]]
        cost, chance = chain.costs(z), both[0][0] * both[1][0]
        for edge, (_, pair, _, q) in enumerate(both):
            theirs = cost[edge, list(pair)]
            exact[edge, list(pair)] += chance * q * (theirs - q @ theirs)
    moments = Moments(chain, BinaryGates(), 4000, "alpha")
    assert moments.deviation(exact).abs().max() < 4
    assert (exact / moments.error).abs().max() > 20


def test_snas_is_unbiased_for_the_relaxed_loss() -> None:
    """Two operations: the difference of two Gumbels is logistic, so E[L(Z)] is a two-fold
    integral, taken here by the midpoint rule over both logistic quantiles.
    """
    chain, temperature = Chain(("skip_connect", "linear"), bend=True), 1.0
    u = (torch.arange(200) + 0.5) / 200
    noise = (u / (1 - u)).log()
    a, b = torch.meshgrid(noise, noise, indexing="ij")
    x, y = chain.outputs(0, chain.x)

    def expected(alpha: torch.Tensor) -> torch.Tensor:
        gap = alpha[:, 0] - alpha[:, 1]
        first = torch.sigmoid((gap[0] + a) / temperature).flatten()[:, None, None]
        second = torch.sigmoid((gap[1] + b) / temperature).flatten()[:, None, None]
        state = first * x + (1 - first) * y
        state = second * state + (1 - second) * (state @ chain.maps[1].T)
        return (chain.direction * torch.tanh(3 * state)).sum((1, 2)).mean() / len(chain.x)

    alpha = chain.group.alpha.detach().requires_grad_()
    (exact,) = torch.autograd.grad(expected(alpha), alpha)
    concrete, generator, found = Concrete(temperature), seeded(5), []
    for _ in range(3000):
        z = concrete.draw(chain.group, "joint", generator).z
        found.append(torch.autograd.grad(chain.exact_loss(z), chain.group.alpha)[0])
    stack = torch.stack(found)
    deviation = (stack.mean(0) - exact) / (stack.std(0) / len(found) ** 0.5)
    assert deviation.abs().max() < 4


# --- the laws of the draws ---


def test_concrete_at_a_high_temperature_is_uniform_and_at_a_low_one_one_hot() -> None:
    group = Chain().group
    hot = torch.stack([Concrete(1e6).draw(group, "joint", seeded(n)).z for n in range(50)])
    torch.testing.assert_close(hot, torch.full_like(hot, 1 / 3), atol=1e-4, rtol=0)
    cold = torch.stack([Concrete(1e-4).draw(group, "joint", seeded(n)).z for n in range(50)])
    assert cold.max(-1).values.min() > 0.999


@pytest.mark.parametrize(
    ("relaxation", "phase"),
    [
        (Concrete(0.5), "joint"),
        (StraightThroughGumbel(10.0), "weights"),
        (OneHotScore(), "joint"),
        (BinaryGates(), "weights"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_largest_z_follows_softmax_alpha(relaxation: Relaxation, phase: str) -> None:
    group, generator, draws = Chain().group, seeded(2), 4000
    counts = np.zeros((2, 3))
    for _ in range(draws):
        z = relaxation.draw(group, phase, generator).z.detach()
        counts += np.eye(3)[z.argmax(-1).numpy()]
    expected = distribution(group.alpha.detach()).numpy() * draws
    for edge in range(2):
        assert stats.chisquare(counts[edge], expected[edge]).pvalue > 1e-3


def test_proxyless_pairs_are_drawn_without_replacement() -> None:
    group, generator, draws = Chain().group, seeded(2), 4000
    p = distribution(group.alpha.detach())[0].tolist()
    counts = dict.fromkeys(itertools.combinations(range(3), 2), 0)
    for _ in range(draws):
        counts[BinaryGates().draw(group, "alpha", generator).active[0]] += 1
    expected = [draws * p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j])) for i, j in counts]
    assert stats.chisquare(list(counts.values()), expected).pvalue > 1e-3
