"""SmoothDARTS: the perturbation stays in its ball and on the simplex; the adversary does harm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_shot import evaluator, random_batches, search, set_alphas, tiny_space
from scipy import optimize

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.sdarts import SmoothDartsADV, SmoothDartsRS
from nni_wiring.supernet.relaxations.perturbed import project


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.4])
def test_projection_is_the_nearest_point(epsilon: float) -> None:
    """Against a general solver of the same quadratic programme (SLSQP)."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    centre = torch.randn(4, 5, generator=generator, dtype=torch.float64).softmax(-1)
    found = project(z, centre, epsilon, torch.ones(4, 5, dtype=torch.bool))
    for row in range(4):
        low = np.maximum(centre[row].numpy() - epsilon, 0)
        high = np.minimum(centre[row].numpy() + epsilon, 1)
        best = optimize.minimize(
            lambda p, row=row: ((p - z[row].numpy()) ** 2).sum(),
            centre[row].numpy(),
            bounds=list(zip(low, high, strict=True)),
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        np.testing.assert_allclose(found[row].numpy(), best.x, atol=1e-6)


def inside(z: torch.Tensor, p: torch.Tensor, epsilon: float) -> bool:
    rows = torch.allclose(z.sum(-1), torch.ones(len(z)), atol=1e-5)
    return rows and bool((z >= 0).all()) and bool(((z - p).abs() <= epsilon + 1e-6).all())


@pytest.mark.parametrize("operations", [None, {"*": ["skip_connect", "nor_conv_3x3"]}])
def test_random_points_stay_in_the_ball(operations: dict[str, list[str]] | None) -> None:
    strategy = SmoothDartsRS()
    strategy.mutate_model(tiny_space(operations=operations))
    set_alphas(strategy.groups, 2)
    (group,) = strategy.groups
    strategy.on_epoch_start(50, 100)
    epsilon = strategy.relaxation.epsilon
    assert epsilon == pytest.approx(0.03 + 0.27 / 2)
    p = torch.softmax(group.logits(), -1).detach()
    generator = torch.Generator().manual_seed(0)
    points = [strategy.draw(group, "weights", generator).z for _ in range(50)]
    assert all(inside(z, p, epsilon) and not z[~group.mask].any() for z in points)
    assert torch.stack(points).std(0).mean() > epsilon / 10
    torch.testing.assert_close(strategy.draw(group, "alpha", generator).z.detach(), p)


def adversary() -> tuple[SmoothDartsADV, object]:
    torch.manual_seed(4)
    strategy = SmoothDartsADV()
    batches = random_batches(6, 3)
    _, module = search(strategy, tiny_space(), evaluator(batches[:3], batches[3:], lr=0.01))
    set_alphas(strategy.groups, 5)
    strategy.relaxation.epsilon = 0.2
    return strategy, module


def test_the_attack_stays_in_the_ball_and_raises_the_loss() -> None:
    strategy, module = adversary()
    (group,) = strategy.groups
    (batch,) = random_batches(1, 9, images=16)
    p = torch.softmax(group.logits(), -1).detach()
    before = {key: value.clone() for key, value in module.state_dict().items()}

    def loss() -> float:
        module.model.eval()
        with torch.no_grad():
            value = module.loss("weights", batch, 0, record=False).item()
        module.model.train()
        return value

    strategy.relaxation.epsilon = 0.0
    clean = loss()
    strategy.relaxation.epsilon = 0.2
    by_chance = [loss() for _ in range(10)]
    strategy.parts.weights.attack(module, batch, 0)
    attacked = strategy.relaxation.attack[group.name]
    assert inside(attacked, p, 0.2)
    assert loss() > max(clean, *by_chance)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert group.alpha.grad is None or not group.alpha.grad.isnan().any()


def test_the_attack_is_over_after_the_weights_step() -> None:
    strategy, _ = adversary()
    assert strategy.relaxation.attack == {}


@pytest.mark.parametrize("kind", [SmoothDartsRS, SmoothDartsADV])
def test_single_level_is_refused_with_the_reason(kind: type[SmoothDartsRS]) -> None:
    with pytest.raises(ConfigError, match="only theta's level is perturbed"):
        kind(optimisation="single_level")


@pytest.mark.parametrize("epsilon", [0.1, 0.9])
def test_the_attack_keeps_the_worst_point_that_it_comes_by(epsilon: float) -> None:
    """Of the centre, the start and every step; in few, large steps that is often not the last."""
    strategy, module = adversary()
    strategy.relaxation.epsilon = epsilon
    attacker = strategy.parts.weights
    attacker.steps = 2
    (group,) = strategy.groups
    seen: list[tuple[float, torch.Tensor]] = []
    loss = module.loss

    def watched(*args: object, **options: object) -> torch.Tensor:
        assert not module.model.training  # as the authors' code, which leaves statistics alone
        value = loss(*args, **options)
        seen.append((value.item(), group.draw.z.detach().clone()))
        return value

    module.loss = watched
    last = 0
    for seed in range(6):
        set_alphas(strategy.groups, seed)
        seen.clear()
        (batch,) = random_batches(1, seed, images=16)
        attacker.attack(module, batch, 0)
        assert module.model.training
        assert len(seen) == 4
        torch.testing.assert_close(seen[0][1], torch.softmax(group.logits(), -1).detach())
        worst = max(seen, key=lambda pair: pair[0])
        assert torch.equal(strategy.relaxation.attack[group.name], worst[1])
        last += worst is seen[-1]
        strategy.relaxation.attack = {}
    assert last < 6 or epsilon < 0.5
