"""ENAS: the controller learns a cell whose reward is known; its pieces against closed forms."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from one_shot import evaluator, random_batches, search, tiny_space

from nni_wiring.strategies.enas import ENAS
from nni_wiring.strategies.parts.controller import (
    Controller,
    Reinforce,
    Sampled,
    train_controller,
)
from nni_wiring.strategies.parts.policy import PolicyUpdate
from nni_wiring.supernet.evaluation import fixed_draw, one_hot, supernet_accuracy

TARGET = [3, 0, 2, 1, 4, 1]


def controller(edges: int = 6) -> Controller:
    torch.manual_seed(0)
    return Controller([torch.ones(5, dtype=torch.bool)] * edges)


def test_learns_the_cell_of_the_highest_reward() -> None:
    """Reward = share of the edges that agree with TARGET: every edge has a known best choice."""
    target = TARGET[:3]
    policy = controller(edges=3)
    adam = torch.optim.Adam(policy.parameters(), lr=2e-2, betas=(0.0, 0.999))

    def step(loss: torch.Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        adam.step()

    def reward(cell: list[int]) -> float:
        return sum(a == b for a, b in zip(cell, target, strict=True)) / 3

    generator = torch.Generator().manual_seed(1)
    before = sum(map(reward, policy(200, generator).operations.tolist())) / 200
    train_controller(policy, Reinforce(1e-4, 0.95), reward, step, generator, steps=80, samples=20)
    assert before == pytest.approx(0.2, abs=0.08)
    after = sum(map(reward, policy(200, generator).operations.tolist())) / 200
    assert after > 0.75
    assert policy(1, greedy=True).operations[0].tolist() == target


def test_cells_are_drawn_by_their_probability() -> None:
    """All cells of a two-edge controller: probabilities sum to 1 and match the frequencies."""
    torch.manual_seed(3)
    policy = Controller([torch.tensor([True, True, False]), torch.ones(3, dtype=torch.bool)])
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(20)
    sampled = policy(6000, torch.Generator().manual_seed(0))
    cells = [tuple(cell) for cell in sampled.operations.tolist()]
    counts = Counter(cells)
    log_p = dict(zip(cells, sampled.log_probability.tolist(), strict=True))
    assert set(counts) == {(a, b) for a in (0, 1) for b in (0, 1, 2)}
    p = {cell: torch.tensor(value).exp().item() for cell, value in log_p.items()}
    assert sum(p.values()) == pytest.approx(1, abs=1e-5)
    for cell, count in counts.items():
        assert count / 6000 == pytest.approx(p[cell], abs=4 * (p[cell] / 6000) ** 0.5)
    assert sampled.probabilities.sum(-1).allclose(torch.ones(6000, 2))
    mean_entropy = -sum(q * torch.tensor(q).log().item() for q in p.values())
    assert sampled.entropy.mean().item() == pytest.approx(mean_entropy, abs=0.02)


def test_reinforce_by_hand() -> None:
    """Baseline .9 from the first reward on; loss = -mean log p (R - b)."""
    log_p = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    sampled = Sampled(torch.zeros(3, 1), log_p, torch.tensor([2.0, 0.0, 0.0]), torch.zeros(3, 1, 1))
    reinforce = Reinforce(entropy_weight=0.1, decay=0.9)
    loss = reinforce.loss(sampled, torch.tensor([0.3, 1.0, 0.0]))
    # rewards .5, 1, 0; baselines .5, .55, .495
    loss.backward()
    expected = [-(0.5 - 0.5) / 3, -(1 - 0.55) / 3, -(0 - 0.495) / 3]
    assert log_p.grad.tolist() == pytest.approx(expected, abs=1e-6)
    assert reinforce.baseline == pytest.approx(0.495)


def test_initialisation_and_logits_stay_in_their_bounds() -> None:
    policy = controller()
    for parameter in policy.parameters():
        assert parameter.abs().max() <= 0.1
    assert sum(p.numel() for p in policy.lstm.parameters()) == 2 * 4 * 32 * (32 + 32 + 2)
    with torch.no_grad():
        policy.head.weight.mul_(1e4)
    p = policy(50, torch.Generator()).probabilities
    assert (p.max() / p.min()).log() <= 5.01  # logits within +-2.5


def test_the_reward_is_the_supernet_s_accuracy_on_the_batch() -> None:
    """Counted by hand over the predictions of one cell; training mode, as batch statistics say."""
    strategy = ENAS(controller_steps=1, controller_samples=1, selection_settings={"samples": 1})
    batches = random_batches(3, 0, images=12)
    model, module = search(strategy, tiny_space(), evaluator(batches[:1], batches[1:2]))
    (group,) = strategy.groups
    images, labels = batches[2]
    found = strategy.parts.alpha.reward(module, TARGET, (images, labels))
    group.draw = fixed_draw(group, one_hot(group, TARGET))
    model.train()
    with torch.no_grad():
        predictions = model(images).argmax(-1)
    assert found == pytest.approx(sum((predictions == labels).tolist()) / 12)
    z = {group.name: one_hot(group, TARGET)}
    assert supernet_accuracy(model, [(images, labels)] * 2, z) == pytest.approx(100 * found)


@pytest.mark.parametrize(("level", "part"), [("bi_level", 1), ("single_level", 0)])
def test_rewards_come_from_the_level_s_data(
    level: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search half in bi-level search, the training data in single-level search."""
    seen = []

    def reward(policy: object, loop: object, cell: list[int], batch: object) -> float:
        seen.append(batch)
        return 0.5

    monkeypatch.setattr(PolicyUpdate, "reward", reward)
    strategy = ENAS(
        optimisation=level,
        controller_steps=2,
        controller_samples=2,
        selection_settings={"samples": 1},
    )
    halves = [random_batches(3, 0), random_batches(3, 1)]
    search(strategy, tiny_space(), evaluator(*halves))
    assert strategy.parts.alpha.reinforce.baseline is not None
    assert len(seen) == 4
    assert all(any(batch is own for own in halves[part]) for batch in seen)


def test_the_controller_belongs_to_the_search_not_to_the_network() -> None:
    strategy = ENAS(controller_steps=1, controller_samples=2, selection_settings={"samples": 1})
    batches = random_batches(2, 0)
    model, module = search(strategy, tiny_space(), evaluator(batches[:1], batches[1:]))
    mine = {id(p) for p in strategy.parts.alpha.controller.parameters()}
    assert mine <= {id(p) for p in module.arch_parameters()}
    assert not mine & {id(p) for p in module.weight_parameters()}
    assert any("controller.lstm" in name for name in module.state_dict())
    frozen = model.freeze(module.export())
    assert not [name for name, _ in frozen.named_parameters() if "controller" in name]
    torch.testing.assert_close(
        strategy.groups[0].alpha.exp().sum(-1), torch.ones(6), atol=1e-4, rtol=0
    )
