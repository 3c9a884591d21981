"""Relaxations against the closed forms of the theory page, section 1, in float64; what each owes to
the frame.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from two_edge_cell import CHAIN, Chain, distribution, seeded

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import (
    BinaryGates,
    Concrete,
    OneHotScore,
    Relaxation,
    Sigmoid,
    Softmax,
    StraightThroughGumbel,
)

SAMPLED = [StraightThroughGumbel(2.0), OneHotScore(), BinaryGates()]
ALL = [Softmax(), Sigmoid(), Concrete(2.0), *SAMPLED]
IDS = [relaxation.name for relaxation in ALL]

pytestmark = pytest.mark.usefixtures("float64")


# --- gradients of one draw against the closed forms ---


@pytest.mark.parametrize("bend", [False, True])
def test_darts_gradient(bend: bool) -> None:
    chain = Chain(bend=bend)
    found = chain.gradient(Softmax(), Softmax().draw(chain.group, "alpha", seeded()))
    z = distribution(chain.group.alpha.detach())
    cost = chain.costs(z)
    torch.testing.assert_close(found, z * (cost - (z * cost).sum(-1, keepdim=True)))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_snas_gradient_with_the_noise_fixed(temperature: float) -> None:
    chain, concrete = Chain(bend=True), Concrete(temperature)
    draw = concrete.draw(chain.group, "joint", seeded(7))
    found = chain.gradient(concrete, draw)
    z = draw.z.detach()
    cost = chain.costs(z)
    expected = z * (cost - (z * cost).sum(-1, keepdim=True)) / temperature
    torch.testing.assert_close(found, expected)


def test_snas_gradient_against_finite_differences() -> None:
    chain, concrete = Chain(bend=True), Concrete(0.7)
    found = chain.gradient(concrete, concrete.draw(chain.group, "joint", seeded(7)))
    alpha, step = chain.group.alpha.data, 1e-6
    for entry in itertools.product(range(2), range(3)):
        losses = []
        for sign in (1, -1):
            alpha[entry] += sign * step
            z = concrete.draw(chain.group, "joint", seeded(7)).z.detach()
            losses.append(chain.exact_loss(z).item())
            alpha[entry] -= sign * step
        assert found[entry].item() == pytest.approx(
            (losses[0] - losses[1]) / (2 * step), rel=1e-6, abs=1e-8
        )


@pytest.mark.parametrize("seed", range(6))
def test_dsnas_gradient(seed: int) -> None:
    chain, relaxation = Chain(bend=True), OneHotScore()
    draw = relaxation.draw(chain.group, "joint", seeded(seed))
    found = chain.gradient(relaxation, draw)
    z = draw.z.detach()
    reward = (z * chain.costs(z)).sum(-1, keepdim=True)
    torch.testing.assert_close(found, (z - distribution(chain.group.alpha.detach())) * reward)


def test_dsnas_reward_is_clamped() -> None:
    chain = Chain()
    cost = torch.tensor([[0.0, 0.0, 80.0], [0.0, -80.0, 0.0]])
    draw = Draw(torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), ((2,), (1,)))
    p = distribution(chain.group.alpha.detach())
    found = OneHotScore(clamp=5.0).alpha_gradient(chain.group, draw, cost)
    expected = (draw.z - p) * torch.tensor([[5.0], [-5.0]])
    torch.testing.assert_close(found.detach(), expected)


def test_fair_darts_gradient() -> None:
    chain, relaxation = Chain(bend=True), Sigmoid()
    found = chain.gradient(relaxation, relaxation.draw(chain.group, "alpha", seeded()))
    z = 1 / (1 + (-chain.group.alpha.detach()).exp())
    torch.testing.assert_close(found, z * (1 - z) * chain.costs(z))


@pytest.mark.parametrize("seed", range(6))
def test_gdas_gradient_is_that_of_the_chosen_operations_cost(seed: int) -> None:
    temperature = 1.7
    chain, relaxation = Chain(bend=True), StraightThroughGumbel(temperature)
    draw = relaxation.draw(chain.group, "alpha", seeded(seed))
    found = chain.gradient(relaxation, draw)
    hard = draw.z.detach()
    soft = Concrete(temperature).draw(chain.group, "alpha", seeded(seed)).z.detach()
    cost = hard * chain.costs(hard)  # what did not run has no cost
    expected = soft * (cost - (soft * cost).sum(-1, keepdim=True)) / temperature
    torch.testing.assert_close(found, expected)
    assert torch.equal(hard, hard.round())
    assert torch.equal(hard.argmax(-1), soft.argmax(-1))


@pytest.mark.parametrize("seed", range(6))
def test_proxyless_gradient_moves_the_two_paths_against_each_other(seed: int) -> None:
    chain, relaxation = Chain(bend=True), BinaryGates()
    draw = relaxation.draw(chain.group, "alpha", seeded(seed))
    found = chain.gradient(relaxation, draw)
    cost = chain.costs(draw.z.detach())
    alpha = chain.group.alpha.detach()
    expected = torch.zeros(2, 3)
    for edge, pair in enumerate(draw.active):
        assert len(pair) == 2
        weights = [alpha[edge, k].exp() for k in pair]
        q = [weight / sum(weights) for weight in weights]
        for i, j in itertools.product(range(2), repeat=2):  # eq. 4
            expected[edge, pair[i]] += cost[edge, pair[j]] * q[j] * (int(i == j) - q[i])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(-1), torch.zeros(2), atol=1e-12, rtol=0)


# --- what every relaxation owes to the frame ---


@pytest.mark.parametrize("relaxation", ALL, ids=IDS)
@pytest.mark.parametrize("phase", ["weights", "alpha", "joint"])
def test_draws_respect_the_mask_and_the_generator(relaxation: Relaxation, phase: str) -> None:
    group = EdgeGroup("cell", ["0-1", "1-2"], ["a", "b"], [["none", "conv"], ["skip"]], CHAIN)
    group.alpha.data.normal_(generator=seeded())
    state = torch.get_rng_state()
    with torch.no_grad():
        draws = [relaxation.draw(group, phase, seeded(n)) for n in (*range(20), 0)]
    assert torch.equal(draws[0].z, draws[-1].z) and draws[0].active == draws[-1].active
    assert torch.equal(torch.get_rng_state(), state)
    for draw in draws:
        assert not draw.z[~group.mask].any()
        for active, allowed, row in zip(draw.active, group.allowed, draw.z, strict=True):
            assert active and set(active) <= set(allowed)
            assert all(row[k] == 0 for k in range(len(row)) if k not in active)
    p = relaxation.probabilities(group)
    torch.testing.assert_close(p.sum(-1), torch.ones(2))
    assert not p[~group.mask].any()


@pytest.mark.parametrize("relaxation", SAMPLED, ids=lambda r: r.name)
@pytest.mark.parametrize("phase", ["weights", "alpha"])
def test_only_what_a_draw_runs_is_computed(relaxation: Relaxation, phase: str) -> None:
    chain = Chain()
    ran: list[tuple[int, int]] = []
    for edge, k in itertools.product(range(2), (1, 2)):
        chain.cell.operation(edge, k).register_forward_hook(
            lambda *_, place=(edge, k): ran.append(place)
        )
    for seed in range(5):
        ran.clear()
        draw = relaxation.draw(chain.group, phase, seeded(seed))
        chain.loss(draw)
        expected = [(edge, k) for edge in range(2) for k in draw.active[edge] if k]
        assert sorted(ran) == expected
        paths = 2 if isinstance(relaxation, BinaryGates) and phase == "alpha" else 1
        assert all(len(active) == paths for active in draw.active)


@pytest.mark.parametrize("relaxation", SAMPLED, ids=lambda r: r.name)
def test_a_cell_without_any_path_has_no_gradient(relaxation: Relaxation) -> None:
    chain = Chain()
    chain.group.alpha.data[:, 0] = 50.0  # none everywhere
    draw = relaxation.draw(chain.group, "weights", seeded())
    assert not chain.loss(draw).detach().any()
    with torch.no_grad():
        assert not chain.loss(relaxation.draw(chain.group, "weights", seeded())).any()


def test_costs_of_cells_that_share_a_draw_add_up() -> None:
    """The leaf Z of one draw gathers dL/dZ of both uses."""
    chain, relaxation = Chain(bend=True), OneHotScore()
    draw = relaxation.draw(chain.group, "joint", seeded(1))
    chain.group.draw = draw
    first = chain.cell(chain.x)
    chain.loss_of_output(chain.cell(first)).backward()
    found = draw.z.grad
    z, total = draw.z.detach(), torch.zeros(2, 3)
    for entry in [(edge, active[0]) for edge, active in enumerate(draw.active)]:
        values = []
        for step in (1e-6, -1e-6):
            moved = z.clone()
            moved[entry] += step
            state = chain.x
            for edge in (0, 1, 0, 1):
                terms = chain.outputs(edge, state)
                state = sum(moved[edge, k] * term for k, term in enumerate(terms))
            values.append(chain.loss_of_output(state))
        total[entry] = (values[0] - values[1]) / 2e-6
    torch.testing.assert_close(found, total, rtol=1e-6, atol=1e-8)
