"""One step of alpha, method by method: the gradient that a method's own code leaves, and the local
step that its form gives from the local cost (theory page, section 1).

C is dL/dZ, one value per edge and operation, summed over the cells that share Z; for an edge with
weights w the *local step* is w_k (C_k - sum_m w_m C_m), C_k = 0 where operation k did not run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import torch

from nni_wiring.search.reopen import OpenSearch
from nni_wiring.strategies.parts.policy import PolicyUpdate
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.evaluation import fixed_draw, one_hot
from nni_wiring.supernet.relaxations import BinaryGates, Concrete, OneHotScore

Batch = tuple[torch.Tensor, torch.Tensor]


class Steps(NamedTuple):
    """Of several draws: the gradient of alpha and the local step, (draws, edges, operations)."""

    gradient: np.ndarray
    local: np.ndarray


class Method(NamedTuple):
    """One method compared. form: the weights w in words. slope: of the gradient on the local
    step, None where no such law is claimed. steps: (search, batch, draws) -> Steps.
    """

    form: str
    slope: Callable[[OpenSearch], float | None]
    steps: Callable[[OpenSearch, Batch, int], Steps]


def local_step(weights: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """w (C - sum w C) for every edge, (edges, operations)."""
    return weights * (cost - (weights * cost).sum(axis=-1, keepdims=True))


class Sampled(NamedTuple):
    """One draw of Z, dL/dZ, and the gradient that the method's own code leaves in alpha."""

    draw: Draw
    cost: np.ndarray
    gradient: np.ndarray


def sampled(found: OpenSearch, batch: Batch) -> Sampled:
    """Draw once, and take the cost and the method's gradient at that same draw."""
    module, [group] = found.module, found.strategy.groups
    before = module.generator.get_state()
    with module.constant_weights():
        loss = module.loss("alpha", batch, 0, record=False)
        draw = cast(Draw, group.draw)
        # a drawn cell whose output is dead gives no gradient to anything
        [cost] = (
            torch.autograd.grad(loss, [draw.z], allow_unused=True) if loss.requires_grad else [None]
        )
    module.generator.set_state(before)
    group.alpha.grad = None
    found.strategy.parts.alpha.gradient(module, {"train": batch, "val": batch}, 0)
    gradient = torch.zeros_like(group.alpha) if group.alpha.grad is None else group.alpha.grad
    cost = torch.zeros_like(draw.z) if cost is None else cost
    return Sampled(draw, cost.detach().numpy(), gradient.detach().clone().numpy())


def _along(
    weights: Callable[[OpenSearch, Draw, torch.Tensor], torch.Tensor],
) -> Callable[[OpenSearch, Batch, int], Steps]:
    """Steps of a method whose local step of a draw has these weights; they are given the state of
    the generator before the draw.
    """

    def steps(found: OpenSearch, batch: Batch, draws: int) -> Steps:
        count = 1 if found.strategy.relaxation.deterministic else draws
        gradients, locals_ = [], []
        for _ in range(count):
            before = found.module.generator.get_state()
            one = sampled(found, batch)
            w = weights(found, one.draw, before).detach().numpy()
            gradients.append(one.gradient)
            locals_.append(local_step(w, one.cost))
        return Steps(np.array(gradients), np.array(locals_))

    return steps


def _as_drawn(found: OpenSearch, draw: Draw, before: torch.Tensor) -> torch.Tensor:
    return draw.z


def _soft(found: OpenSearch, draw: Draw, before: torch.Tensor) -> torch.Tensor:
    """The concrete sample behind a straight-through draw: the same noise again."""
    [group] = found.strategy.groups
    again = torch.Generator()
    again.set_state(before)
    return cast(Concrete, found.strategy.relaxation).perturbed(group, again)


def _both_paths(found: OpenSearch, draw: Draw, before: torch.Tensor) -> torch.Tensor:
    """ProxylessNAS' renormalised probabilities of the paths that ran."""
    [group] = found.strategy.groups
    relaxation = cast(BinaryGates, found.strategy.relaxation)
    return torch.softmax(relaxation.running_logits(group, draw), dim=-1)


def cell_cost(found: OpenSearch, batch: Batch, cell: list[int]) -> np.ndarray:
    """dL/dZ of one discrete cell, (edges, operations); 0 for operations that do not run."""
    [group] = found.strategy.groups
    z = one_hot(group, cell).to(group.alpha.dtype).requires_grad_()
    group.draw = Draw(z, tuple((k,) for k in cell))
    with found.module.constant_weights():
        output = found.module.training_module.training_step(batch, 0)
    loss = output["loss"] if isinstance(output, dict) else output
    if not loss.requires_grad:  # a dead output
        return np.zeros(z.shape)
    [cost] = torch.autograd.grad(loss, [z])
    return cost.numpy()


def _expected_score(found: OpenSearch, batch: Batch, draws: int) -> Steps:
    """DSNAS in expectation over one edge's draw, the other edges held as drawn: its operations are
    enumerated. The weights are p(alpha), C_k is the cost of k where k is drawn.
    """
    [group] = found.strategy.groups
    relaxation = cast(OneHotScore, found.strategy.relaxation)
    p = relaxation.probabilities(group).detach().numpy()
    gradients, locals_ = [], []
    for _ in range(max(1, draws // p.size)):
        cell = found.module.sample_cells()[group.name]
        gradient, cost = np.zeros(p.shape), np.zeros(p.shape)
        for edge, allowed in enumerate(group.allowed):
            for k in allowed:
                other = [*cell[:edge], k, *cell[edge + 1 :]]
                at = cell_cost(found, batch, other)
                cost[edge, k] = at[edge, k]
                estimate = _estimate(group, relaxation, other, at)
                gradient[edge] += p[edge, k] * estimate[edge]
        gradients.append(gradient)
        locals_.append(local_step(p, cost))
    return Steps(np.array(gradients), np.array(locals_))


def _estimate(
    group: EdgeGroup, relaxation: OneHotScore, cell: list[int], cost: np.ndarray
) -> np.ndarray:
    draw = fixed_draw(group, one_hot(group, cell).to(group.alpha.dtype))
    return relaxation.alpha_gradient(group, draw, torch.from_numpy(cost)).detach().numpy()


def _policy(found: OpenSearch, batch: Batch, draws: int) -> Steps:
    """ENAS: the score of the controller's draws times -(R - mean R), R the accuracy of the cell,
    against the same score times the local cost; both a mean over the draws.
    """
    policy = cast(PolicyUpdate, found.strategy.parts.alpha)
    [group] = found.strategy.groups
    with torch.no_grad():
        drawn = policy.controller(draws, found.module.generator)
    cells = drawn.operations.tolist()
    scores = [
        one_hot(group, cell).numpy() - p
        for cell, p in zip(cells, drawn.probabilities.double().numpy(), strict=True)
    ]
    rewards = np.array([policy.reward(found.module, cell, batch) for cell in cells])
    costs = [cell_cost(found, batch, cell).sum(axis=1, keepdims=True) for cell in cells]
    advantage = rewards - rewards.mean()
    gradient = np.mean([-a * s for a, s in zip(advantage, scores, strict=True)], axis=0)
    local = np.mean([c * s for c, s in zip(costs, scores, strict=True)], axis=0)
    return Steps(gradient[None], local[None])


def _temperature(found: OpenSearch) -> float:
    return 1.0 / cast(Concrete, found.strategy.relaxation).temperature


METHODS: dict[str, Method] = {
    "darts": Method("Z = softmax(alpha)", lambda found: 1.0, _along(_as_drawn)),
    "snas": Method("Z, a concrete sample", _temperature, _along(_as_drawn)),
    "dsnas": Method("p(alpha), the draw of an edge enumerated", lambda found: 1.0, _expected_score),
    "gdas": Method("the concrete sample; C of the chosen one", _temperature, _along(_soft)),
    "proxylessnas": Method("p(alpha) of both paths", lambda found: 1.0, _along(_both_paths)),
    "enas": Method("score times local cost, mean of draws", lambda found: None, _policy),
}
