"""DrNAS: draws and gradients against the Dirichlet's closed forms; its regulariser; its stages."""

from __future__ import annotations

import pytest
import torch
from one_shot import set_alphas, tiny_space
from scipy import special

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.drnas import DrNAS
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import DirichletRelaxation

DRAWS = 2500


@pytest.fixture
def group() -> EdgeGroup:
    """Two edges, one of five operations and one of three, alphas on both sides of zero."""
    made = EdgeGroup(
        "cell", ["0-1", "0-2"], ["a", "b"], [["n", "s", "c", "d", "p"], ["n", "s", "p"]]
    )
    with torch.no_grad():
        made.alpha.copy_(torch.tensor([[0.5, -0.4, 1.2, 0.0, -1.0], [0.2, 0.7, 9.0, 9.0, -0.3]]))
    return made


def closed_concentration(alpha: torch.Tensor) -> torch.Tensor:
    """elu(x) + 1 is x + 1 above zero and e^x below."""
    return torch.where(alpha > 0, alpha + 1, alpha.exp())


def draws(group: EdgeGroup, n: int = DRAWS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    relaxation = DirichletRelaxation()
    return torch.stack([relaxation.draw(group, "alpha", generator).z for _ in range(n)])


def test_draws_have_the_dirichlet_s_mean_and_variance(group: EdgeGroup) -> None:
    z = draws(group).detach()
    torch.testing.assert_close(z.sum(-1), torch.ones(DRAWS, 2))
    assert not z[:, 1, 2:4].any()  # not allowed there
    for edge, allowed in enumerate(group.allowed):
        c = closed_concentration(group.alpha.detach())[edge, list(allowed)]
        total = c.sum()
        mean, variance = c / total, c * (total - c) / (total**2 * (total + 1))
        found = z[:, edge, list(allowed)]
        assert ((found.mean(0) - mean).abs() < 4 * (variance / DRAWS).sqrt()).all()
        torch.testing.assert_close(found.var(0), variance, rtol=0.15, atol=1e-3)
    torch.testing.assert_close(
        DirichletRelaxation().probabilities(group)[0].detach(),
        closed_concentration(group.alpha.detach())[0]
        / closed_concentration(group.alpha.detach())[0].sum(),
    )


def test_draws_are_those_of_torch_s_own_dirichlet(group: EdgeGroup) -> None:
    """Seeded globally; but the draw neither reads nor moves the global generator."""
    weights = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    before = torch.get_rng_state()
    z = DirichletRelaxation().draw(group, "alpha", torch.Generator().manual_seed(5)).z
    assert torch.equal(torch.get_rng_state(), before)
    (found,) = torch.autograd.grad((z * weights).sum(), group.alpha)
    seed = torch.randint(2**62, (), generator=torch.Generator().manual_seed(5))
    expected = torch.zeros(2, 5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed))
        for edge, allowed in enumerate(group.allowed):
            concentration = torch.nn.functional.elu(group.alpha)[edge, list(allowed)] + 1
            sample = torch.distributions.Dirichlet(concentration).rsample()
            expected = expected.index_put((torch.tensor(edge), torch.tensor(allowed)), sample)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), group.alpha)
    assert torch.equal(z, expected) and torch.equal(found, gradient)


def test_gradient_is_that_of_the_expectation(group: EdgeGroup) -> None:
    """f(Z) = sum w Z^2: E[f] = sum w c (c + 1) / (S (S + 1)), differentiated by central
    differences.
    """
    w = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0])

    def expectation(alpha: torch.Tensor) -> torch.Tensor:
        c = closed_concentration(alpha)
        return (w * c * (c + 1)).sum() / (c.sum() * (c.sum() + 1))

    start = group.alpha.detach()[0].double()
    step = 1e-5
    exact = torch.stack(
        [
            (expectation(start + step * e) - expectation(start - step * e)) / (2 * step)
            for e in torch.eye(5, dtype=torch.float64)
        ]
    )
    generator = torch.Generator().manual_seed(8)
    relaxation = DirichletRelaxation()
    samples = []
    for _ in range(DRAWS):
        z = relaxation.draw(group, "alpha", generator).z
        (gradient,) = torch.autograd.grad((w * z[0].square()).sum(), group.alpha)
        samples.append(gradient[0])
    found = torch.stack(samples).double()
    error = found.std(0) / DRAWS**0.5
    assert ((found.mean(0) - exact).abs() < 4 * error + 1e-6).all()


def test_draws_follow_the_search_s_generator(group: EdgeGroup) -> None:
    """The same from the same seed, and the global generator is left alone."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(draws(group, 3), draws(group, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_divergence_from_the_flat_dirichlet(group: EdgeGroup) -> None:
    """KL(Dir(c) || Dir(1)) = lnG(S) - sum lnG(c) - lnG(n) + sum (c - 1)(psi(c) - psi(S))."""
    total = 0.0
    for edge, allowed in enumerate(group.allowed):
        c = closed_concentration(group.alpha.detach().double())[edge, list(allowed)].numpy()
        s = c.sum()
        total += (
            special.gammaln(s)
            - special.gammaln(c).sum()
            - special.gammaln(len(c))
            + ((c - 1) * (special.digamma(c) - special.digamma(s))).sum()
        )
    assert DirichletRelaxation().divergence(group).item() == pytest.approx(total, rel=1e-4)


def test_regulariser_is_scaled_and_replaces_weight_decay() -> None:
    assert DrNAS().parts.regulariser() is None and DrNAS().settings.alpha_weight_decay == 1e-3
    strategy = DrNAS(regularisation="kl", regularisation_scale=0.5)
    assert strategy.settings.alpha_weight_decay == 0
    strategy.mutate_model(tiny_space())
    set_alphas(strategy.groups, 1)
    divergence = strategy.relaxation.divergence(strategy.groups[0])
    assert strategy.parts.regulariser().item() == pytest.approx(0.5 * divergence.item())


def test_stages() -> None:
    """Ten epochs in two stages: K 4 then 2, five operations then three, the first fifth of a stage
    without alpha.
    """
    strategy = DrNAS(partial_channels=(4, 2), keep_operations=(5, 3), stage_warmup=0.2)
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    set_alphas(strategy.groups, 6)
    divisors, moves = [], []
    for epoch in range(10):
        strategy.on_epoch_start(epoch, 10)
        divisors.append(strategy.parts.cells.share.divisor)
        moves.append(strategy.parts.alpha_moves_in(epoch))
    assert divisors == [4] * 5 + [2] * 5
    assert moves == ([False] + [True] * 4) * 2
    best = group.alpha.detach().topk(3, dim=-1).indices.sort(dim=-1).values.tolist()
    assert [list(row) for row in strategy.relaxation.operations(group)] == best
    drawn = strategy.draw(group, "alpha", torch.Generator())
    assert drawn.active == tuple(map(tuple, best))
    assert (drawn.z != 0).sum(-1).tolist() == [3] * 6

    again = DrNAS(partial_channels=(4, 2), keep_operations=(5, 3))
    again.parts.load_state(strategy.parts.state())
    assert again.relaxation.kept == strategy.relaxation.kept


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"partial_channels": (2, 4)}, "must not grow"),
        ({"partial_channels": (4, 2), "keep_operations": (5,)}, "one value a stage"),
        ({"partial_channels": (4, 2), "keep_operations": (3, 5)}, "must not grow"),
        ({"partial_channels": ()}, "partial_channels"),
    ],
)
def test_bad_stages(settings: dict[str, tuple[int, ...]], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        DrNAS(**settings)
