"""Parts combine: each does with others what it does alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_shot import evaluator, random_batches, search, set_alphas, tiny_space

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.base import Part, Regulariser, StopRule
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.edge_decisions import DecisionTimes, EdgeDecisions
from nni_wiring.strategies.parts.fixed import Fixed
from nni_wiring.strategies.parts.gradient import Gradient
from nni_wiring.strategies.parts.partial_channels import PartialChannels
from nni_wiring.strategies.parts.score import Score
from nni_wiring.strategies.parts.unrolled import Unrolled
from nni_wiring.strategies.parts.warm_up import WarmUp
from nni_wiring.supernet.edge_weights import edge_weights
from nni_wiring.supernet.partial_cell import PartialCell
from nni_wiring.supernet.relaxations import (
    BinaryGates,
    Concrete,
    Decided,
    DirichletRelaxation,
    OneHotScore,
    Relaxation,
    Sigmoid,
    Softmax,
    StraightThroughGumbel,
)


def method(parts: Parts, **settings: Any) -> WiringStrategy:
    class Declared(WiringStrategy):
        name = "declared"

        def declare(self) -> Parts:
            return parts

    return Declared(**settings)


PATHWISE = (Softmax, Concrete, StraightThroughGumbel, DirichletRelaxation, Sigmoid)


@pytest.mark.parametrize("kind", [*PATHWISE, OneHotScore, BinaryGates])
def test_partial_channels_combine_with_any_relaxation(
    kind: type[Relaxation], float64: None
) -> None:
    """Each edge's output is beta's softmax times shuffle(concat(mixture of the first half, the
    rest)) under the relaxation's own Z; alpha and beta learn by the search's steps.
    """
    relaxation = kind()
    alpha = Gradient() if relaxation.pathwise else Score(relaxation)
    cells = PartialChannels(2, edge_scale=0.5)
    strategy = method(Parts(relaxation, alpha=alpha, cells=cells), alpha_init=0.5)
    batches = random_batches(4, 3)
    torch.manual_seed(3)
    model, module = search(strategy, tiny_space(), evaluator(batches[:2], batches[2:]))
    (group,) = strategy.groups
    draw = strategy.draw(group, "alpha", torch.Generator().manual_seed(1))
    cell = next(m for m in model.modules() if isinstance(m, PartialCell))
    x = torch.randn(5, 4, 6, 6)
    for edge, active in enumerate(draw.active):
        mixed = sum(draw.z[edge, k] * cell.operation(edge, k)(x[:, :2]) for k in active)
        whole = torch.cat([mixed, x[:, 2:]], dim=1)[:, [0, 2, 1, 3]]
        found = cell.edge_output(edge, x, draw.z[edge].unbind(), draw)
        torch.testing.assert_close(found, edge_weights(group)[edge] * whole)
    assert group.alpha.grad.abs().sum() > 0 and group.beta.grad.abs().sum() > 0


@pytest.mark.parametrize("inner", [Softmax(), Concrete(2.0), DirichletRelaxation(), Sigmoid()])
def test_edges_are_decided_under_any_relaxation(inner: Relaxation) -> None:
    """By the end every edge is one-hot in draws, p(alpha) and evaluation, at the operation of the
    largest probability when it was decided.
    """
    seen: list[list[int]] = []

    def read(group: Any, p: torch.Tensor) -> list[int]:
        seen.append(p.argmax(-1).tolist())
        return seen[-1]

    decisions = EdgeDecisions(read, DecisionTimes(0, 1, 1))
    strategy = method(Parts(Decided(inner), schedules=(decisions,)))
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    for epoch in range(6):
        strategy.on_epoch_start(epoch, 6)
        set_alphas(strategy.groups, epoch)
        strategy.parts.after_steps(None, epoch)  # type: ignore[arg-type]
        assert len(group.decisions.chosen) == epoch + 1
        newest = list(group.decisions.chosen)[-1]
        assert group.decisions.chosen[newest] == seen[-1][newest]
    cell = torch.eye(5)[[group.decisions.chosen[edge] for edge in range(6)]]
    drawn = strategy.draw(group, "weights", torch.Generator())
    assert torch.equal(drawn.z, cell) and all(len(active) == 1 for active in drawn.active)
    assert torch.equal(strategy.relaxation.probabilities(group), cell)
    assert torch.equal(strategy.evaluated(group), cell)
    cells = strategy.relaxation.sample_cells(strategy.groups, torch.Generator())
    assert cells == {"cell": cell.argmax(-1).tolist()}


class Constant(Regulariser):
    """A term of a given value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def loss(self) -> torch.Tensor:
        return torch.tensor(self.value)


class Countdown(StopRule):
    """Stops when it has been asked often enough."""

    def __init__(self, asks: int) -> None:
        self.left = asks

    def should_stop(self, epoch: int) -> bool:
        self.left -= 1
        return self.left <= 0

    def state(self) -> dict[str, Any]:
        return {"left": self.left}

    def load_state(self, state: dict[str, Any]) -> None:
        self.left = state["left"]


def test_terms_add_up_and_warm_ups_and_stop_rules_are_all_asked() -> None:
    assert Parts().regulariser() is None
    assert Parts(regularisers=(Constant(1.5), Constant(2.0))).regulariser().item() == 3.5
    rules = (Countdown(2), Countdown(3))
    parts = Parts(stops=rules, schedules=(WarmUp(share=0.5),)).after(WarmUp(1))
    parts.on_epoch_start(0, 6)
    assert [parts.alpha_moves_in(epoch) for epoch in range(6)] == [False] * 3 + [True] * 3
    assert [parts.should_stop(epoch) for epoch in range(5)] == [False] * 4 + [True]
    assert [rule.left for rule in rules] == [0, 1]
    assert not any(Parts(alpha=Fixed()).alpha_moves_in(epoch) for epoch in range(3))


def test_state_goes_to_the_part_that_it_came_from() -> None:
    parts = Parts(stops=(Countdown(7), Countdown(9)), schedules=(Part(),))
    again = Parts(stops=(Countdown(0), Countdown(0)))
    again.load_state(parts.state())
    assert [rule.left for rule in again.stops] == [7, 9]
    with pytest.raises(RunError, match="does not know the method's part Countdown#2"):
        again.load_state(Parts(stops=(Countdown(7),)).state())


def test_graphs_need_every_part_alike() -> None:
    assert Parts().program() == Parts().program() is not None
    assert Parts(Concrete()).program() is None
    assert Parts(alpha=Unrolled()).program() is None


def test_an_update_that_cannot_move_alpha_is_refused() -> None:
    with pytest.raises(TypeError, match="one_hot_score: autograd does not carry"):
        Parts(OneHotScore())
    with pytest.raises(TypeError, match="softmax: autograd carries"):
        Parts(alpha=Score(Softmax()))
    with pytest.raises(ConfigError, match="Unrolled acts on one of two levels"):
        method(Parts(alpha=Unrolled()), optimisation="single_level")
