"""The controller's memory, against its formula written out, and against ENAS without one."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from one_shot import evaluator, random_batches, search, tiny_space

from nni_wiring.strategies.enas import ENAS
from nni_wiring.strategies.parts.controller import Controller, Reinforce
from nni_wiring.strategies.parts.memory import Decoders, Memory, MemoryBuffer
from nni_wiring.strategies.parts.policy import ControllerTraining, PolicyUpdate
from nni_wiring.supernet.edge_group import EdgeGroup

TARGET = [3, 0, 2, 1, 4, 1]
TRAINING = ControllerTraining(steps=3, samples=4, half="val", clip=5.0)


def share(cell: list[int]) -> float:
    return sum(a == b for a, b in zip(cell, TARGET, strict=True)) / len(TARGET)


class Rewarded(PolicyUpdate):
    """Rewards the share of edges that agree with TARGET."""

    def reward(self, loop: Any, cell: list[int], batch: Any) -> float:
        return share(cell)


class Bench:
    """The part of a loop that a policy's update uses, and the policy on it."""

    def __init__(self, memory: Memory | None, scale: float = 1.0) -> None:
        torch.manual_seed(4)
        strategy = ENAS()
        strategy.mutate_model(tiny_space())
        self.group: EdgeGroup = strategy.groups[0]
        del self.group.controller
        self.policy = Rewarded(TRAINING, Reinforce(1e-4, 0.9), memory)
        torch.manual_seed(5)
        self.policy.prepare([self.group])
        with torch.no_grad():
            for parameter in self.policy.controller.parameters():
                parameter.mul_(scale)
        self.adam = torch.optim.Adam(self.group.parameters(), lr=0.05, betas=(0.0, 0.999))
        self.generator = torch.Generator().manual_seed(6)

    def loader(self, half: str) -> list[str]:
        return ["a batch"]

    def alpha_optimizer(self) -> torch.optim.Optimizer:
        return self.adam

    def manual_backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def train(self, epochs: int) -> None:
        for epoch in range(epochs):
            self.policy.after_steps(self, epoch)

    def state(self) -> dict[str, Any]:
        return copy.deepcopy(
            {
                "group": self.group.state_dict(),
                "adam": self.adam.state_dict(),
                "policy": self.policy.state(),
                "generator": self.generator.get_state(),
            }
        )

    def load(self, state: dict[str, Any]) -> None:
        self.group.load_state_dict(state["group"])
        self.adam.load_state_dict(state["adam"])
        self.policy.load_state(state["policy"])
        self.generator.set_state(state["generator"])


def wide_controller(edges: int, operations: int) -> Controller:
    """Far from its start, so that states tell cells apart; float64."""
    torch.manual_seed(1)
    controller = Controller([torch.ones(operations, dtype=torch.bool)] * edges).double()
    for parameter in controller.parameters():
        parameter.data *= 10
    return controller


def test_states_are_those_before_each_edge_and_after_the_last() -> None:
    """One LSTM step at a time."""
    controller = wide_controller(3, 4)
    cells = torch.tensor([[0, 3, 1], [2, 2, 0]])
    states = controller.given(cells).states
    assert states.shape == (2, 4, 32)
    inputs = [controller.start.expand(2, -1), *controller.embedding(cells).transpose(0, 1)]
    state = None
    for edge, x in enumerate(inputs):
        h, state = controller.lstm(x[None], state)
        torch.testing.assert_close(states[:, edge], h[0])


def test_the_loss_is_the_mean_over_pairs_written_out() -> None:
    """R = mean over cells, t and s <= t of -log softmax(D_s h_{t+1})[op_s]: 21 pairs a cell."""
    controller = wide_controller(6, 5)
    memory = Memory(0.3, size=10, samples=7)
    decoders = memory.prepare(controller).double()
    for parameter in decoders.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64)
    drawn = controller(4, torch.Generator().manual_seed(2)).operations
    loss = memory.loss(controller, drawn, torch.Generator().manual_seed(3))
    rows = torch.randint(4, (7,), generator=torch.Generator().manual_seed(3))
    terms = []
    for cell in drawn[rows]:
        x, state, past = controller.start, None, []
        _, state = controller.lstm(x[None], state)
        for t in range(6):
            h, state = controller.lstm(controller.embedding(cell[t : t + 1])[None], state)
            past.append(int(cell[t]))
            for s, operation in enumerate(past):
                weight, bias = decoders.weight[s].detach(), decoders.bias[s].detach()
                scores = (weight @ h[0, 0].detach() + bias).tolist()
                terms.append(math.log(sum(map(math.exp, scores))) - scores[operation])
    assert len(terms) == 7 * 21
    assert loss.item() == pytest.approx(0.3 * sum(terms) / len(terms), rel=1e-9)


def test_decoders_alone_reconstruct_all_cells_of_a_frozen_controller() -> None:
    """Two edges of two operations: four cells, which 32 units tell apart. At zero R is log 2."""
    controller = wide_controller(2, 2)
    cells = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    after = controller.given(cells).states[:, 1:].detach()
    decoders = Decoders(2, 2, 32).double()
    assert decoders(after, cells).item() == pytest.approx(0.6931471805599453, rel=1e-12)
    adam = torch.optim.Adam(decoders.parameters(), lr=0.3)
    for _ in range(150):
        adam.zero_grad()
        loss = decoders(after, cells)
        loss.backward()
        adam.step()
    assert loss.item() < 0.01


def test_the_buffer_keeps_the_last_cells_in_order() -> None:
    buffer = MemoryBuffer(5)
    kept: list[list[int]] = []
    for n, start in ((3, 0), (4, 10), (1, 20), (9, 30)):
        new = [[start + i, start + i + 100] for i in range(n)]
        buffer.add(torch.tensor(new))
        kept = (kept + new)[-5:]
        assert buffer.rows is not None and buffer.rows.tolist() == kept
    rows = buffer.sample(400, torch.Generator().manual_seed(0)).tolist()
    assert {tuple(row) for row in rows} == {tuple(row) for row in kept}


def test_without_memory_updates_are_reinforce_alone_bit_for_bit() -> None:
    """REINFORCE, the clip and Adam written out, from the same generator."""
    bench, twin = Bench(None), Bench(None)
    bench.train(2)
    controller, reinforce = twin.policy.controller, Reinforce(1e-4, 0.9)
    for _ in range(6):
        sampled = controller(4, twin.generator)
        rewards = torch.tensor([share(cell) for cell in sampled.operations.tolist()])
        twin.adam.zero_grad()
        reinforce.loss(sampled, rewards).backward()
        torch.nn.utils.clip_grad_norm_(controller.parameters(), 5.0)
        twin.adam.step()
    assert_same(bench.policy.controller.state_dict(), controller.state_dict())
    assert torch.equal(bench.generator.get_state(), twin.generator.get_state())
    assert bench.policy.state() == {"baseline": reinforce.baseline}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def searched(**settings: Any) -> tuple[Any, Any, dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(8)
    own = {"controller_steps": 3, "controller_samples": 2, "selection_settings": {"samples": 1}}
    strategy = ENAS(**{**own, "alpha_lr": 0.05, **settings})
    halves = [random_batches(2, 0), random_batches(2, 1)]
    model, module = search(strategy, tiny_space(), evaluator(*halves, epochs=2))
    return model, module, module.state_dict(), torch.get_rng_state()


def test_a_search_at_weight_zero_is_the_default_search() -> None:
    """Whatever the memory's size; a weight adds decoders, which the handed-over network lacks."""
    _, module, default, drawn = searched()
    _, other, zero, drawn_too = searched(memory_weight=0, memory_size=3, memory_samples=2)
    assert_same(default, zero)
    assert torch.equal(drawn, drawn_too)
    assert torch.equal(module.generator.get_state(), other.generator.get_state())
    model, own, remembering, _ = searched(memory_weight=1.0, memory_size=3, memory_samples=2)
    added = {name for name in remembering if "memory_decoders" in name}
    assert len(added) == 2 and set(remembering) - added == set(default)
    head = next(name for name in default if name.endswith("controller.head.weight"))
    assert not torch.equal(default[head], remembering[head])
    frozen = model.freeze(own.export())
    assert not [name for name, _ in frozen.named_parameters() if "memory" in name]


def test_a_saved_memory_goes_on_bit_for_bit() -> None:
    """Buffer, decoders, moments and draws; the buffer has overflowed by then."""
    bench = Bench(Memory(1.0, size=7, samples=3))
    bench.train(1)
    saved = bench.state()
    assert saved["policy"]["memory"].shape == (7, 6)
    other = Bench(Memory(1.0, size=7, samples=3), scale=2.0)
    other.load(saved)
    bench.train(2)
    other.train(2)
    assert_same(bench.group.state_dict(), other.group.state_dict())
    assert_same(
        bench.policy.memory.decoders.state_dict(), other.policy.memory.decoders.state_dict()
    )
    assert torch.equal(bench.policy.state()["memory"], other.policy.state()["memory"])
    assert torch.equal(bench.generator.get_state(), other.generator.get_state())


def test_its_gradient_moves_the_controller() -> None:
    """Finite differences in an LSTM weight and in the embedding, float64."""
    controller = wide_controller(3, 4)
    memory = Memory(2.0, size=8, samples=5)
    with torch.no_grad():
        for parameter in memory.prepare(controller).double().parameters():
            parameter.normal_()
    cells = torch.tensor([[0, 3, 1], [2, 2, 0]])

    def loss() -> torch.Tensor:
        memory.buffer = MemoryBuffer(8)
        return memory.loss(controller, cells, torch.Generator().manual_seed(3))

    loss().backward()
    for weight in (controller.lstm.weight_hh_l0, controller.embedding.weight):
        assert weight.grad is not None
        place = divmod(int(weight.grad.abs().argmax()), weight.shape[1])
        ends = []
        with torch.no_grad():
            for change in (1e-5, -2e-5):
                weight[place] += change
                ends.append(loss().item())
        assert weight.grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)
