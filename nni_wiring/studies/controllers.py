"""Controllers trained on the truth alone, and the graphs that their hidden states tell (S4)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from nni_wiring.strategies.enas import ENASSettings
from nni_wiring.strategies.parts.controller import (
    Controller,
    Reinforce,
    Sampled,
    train_controller,
)
from nni_wiring.strategies.parts.memory import Memory
from nni_wiring.studies.policies import Floats, entropy, marginal, total_correlation
from search_spaces.cell_graph import NB201, OPERATIONS

Array = NDArray[np.float64]
Cells = NDArray[np.int64]

ENAS = ENASSettings()
#: Options of a supernet that trains in seconds, for controllers that a supernet rewards.
SMALL_SUPERNET: dict[str, Any] = {
    "data": "clutter",
    "supernet": "auto",
    "compile": True,
    "channels": 4,
    "cells": 1,
    "batch_size": 32,
    "epochs": 12,
    "max_steps": 30,
}
EDGES = len(NB201.edges)


class Recipe(NamedTuple):
    """The training of a controller; rewards are true accuracies (percent / 100).

    Attributes:
        steps: updates of ENAS' number of cells each.
        learning_rate: of Adam.
        memory_weight: 0 for ENAS without a memory.
        memory_size: cells that the buffer holds.
        memory_samples: of them an update reads.
    """

    steps: int
    learning_rate: float = ENAS.alpha_lr
    memory_weight: float = 0.0
    memory_size: int = ENAS.memory_size
    memory_samples: int = ENAS.memory_samples


class Factorised(Controller):
    """The control of a controller: one softmax an edge, bounded as the controller's, and no past.

    Its logits are 2.5 tanh(a / 5) with a initialised U(-.1, .1); edges are independent, so that its
    total correlation is 0 by construction.
    """

    def __init__(self, edges: int = EDGES, operations: int = len(OPERATIONS)) -> None:
        torch.nn.Module.__init__(self)  # nothing of the LSTM's
        self.a = torch.nn.Parameter(torch.empty(edges, operations).uniform_(-0.1, 0.1))

    def _log_p(self) -> torch.Tensor:
        return torch.log_softmax(2.5 * torch.tanh(self.a / 5), dim=-1)

    def forward(
        self, n: int, generator: torch.Generator | None = None, *, greedy: bool = False
    ) -> Sampled:
        """Draw n cells."""
        log_p = self._log_p()
        p = log_p.exp()
        if greedy:
            choice = log_p.argmax(dim=-1).expand(n, -1)
        else:
            choice = torch.multinomial(p.detach(), n, replacement=True, generator=generator).T
        logs = log_p.expand(n, -1, -1).gather(2, choice[..., None])[..., 0].sum(dim=1)
        entropies = -(p * log_p).sum().expand(n)
        return Sampled(choice, logs, entropies, p.expand(n, -1, -1))

    @torch.no_grad()
    def distribution(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All cells, (n, edges), the last edge fastest, and their p, (n,), in float64."""
        log_p = torch.log_softmax(2.5 * torch.tanh(self.a.double() / 5), dim=-1)
        edges, operations = log_p.shape
        cells = torch.tensor(list(itertools.product(range(operations), repeat=edges)))
        return cells, log_p[torch.arange(edges), cells].sum(dim=1).exp()


def factorised(seed: int) -> Controller:
    """The control of a seed, as it starts."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Factorised()


def untrained(seed: int) -> Controller:
    """ENAS' controller of a seed, as it starts."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Controller([torch.ones(len(OPERATIONS), dtype=torch.bool)] * EDGES)


def train(
    values: Floats,
    seed: int,
    recipe: Recipe,
    stages: int = 1,
    start: Callable[[int], Controller] = untrained,
) -> Iterator[Controller]:
    """The controller after every stage of its training; always the same object.

    start: makes it, from the seed.
    """
    controller = start(seed)
    parameters = list(controller.parameters())
    memory = None
    if recipe.memory_weight:
        memory = Memory(recipe.memory_weight, recipe.memory_size, recipe.memory_samples)
        parameters += memory.prepare(controller).parameters()
    adam = torch.optim.Adam(
        parameters, recipe.learning_rate, betas=ENAS.alpha_betas, eps=ENAS.alpha_eps
    )
    reinforce = Reinforce(ENAS.entropy_weight, ENAS.baseline_decay)
    generator = torch.Generator().manual_seed(seed)

    def step(loss: torch.Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, ENAS.alpha_clip or math.inf)
        adam.step()

    for _ in range(stages):
        train_controller(
            controller,
            reinforce,
            lambda cell: float(values[tuple(cell)]) / 100,
            step,
            generator,
            steps=recipe.steps // stages,
            samples=ENAS.controller_samples,
            beside=() if memory is None else (memory,),
        )
        yield controller


def policy(controller: Controller) -> Floats:
    """p(cell), one axis an edge; float64."""
    cells, p = controller.distribution()
    found = np.zeros((len(OPERATIONS),) * EDGES)
    found[tuple(cells.T.numpy())] = p.numpy()
    return found


@torch.no_grad()
def last_states(controller: Controller, cells: Cells) -> Array:
    """(n, units): the upper layer's output after the last operation of every cell was read."""
    return controller.given(torch.as_tensor(cells)).states[:, -1].double().numpy()


def state_distance(states: Array, metric: str = "euclidean") -> Array:
    """(n, n) distances between hidden states; "euclidean" or "cosine"."""
    return squareform(pdist(states, metric))


def uniform_cells(n: int, seed: int = 0) -> Cells:
    """n different cells, uniformly: the same for all controllers, so that these can be compared."""
    codes = np.random.default_rng(seed).choice(len(OPERATIONS) ** EDGES, n, replace=False)
    return np.stack(np.unravel_index(codes, (len(OPERATIONS),) * EDGES), axis=1).astype(np.int64)


def own_cells(p: Floats, n: int, seed: int = 0) -> Cells:
    """n different cells of a policy, drawn one after the other without replacement."""
    flat = p.ravel()
    codes = np.random.default_rng(seed).choice(flat.size, n, replace=False, p=flat / flat.sum())
    return np.stack(np.unravel_index(codes, p.shape), axis=1).astype(np.int64)


def within_minus_between(p: Floats, edges: int) -> float:
    """Mean Hamming distance, over the edges after the first ``edges``, of two cells that go on
    from one hidden state (one prefix), minus that of two that go on from different ones.

    Exact [ours; S4 draws]: prefixes are uniform, what follows is the policy's. Below 0 where the
    continuation depends on the prefix; 0 exactly where edges are independent.
    """
    prefixes = len(OPERATIONS) ** edges
    rest = p.reshape(prefixes, -1)
    rest = rest / rest.sum(axis=1, keepdims=True)
    after = rest.reshape((prefixes, *(len(OPERATIONS),) * (p.ndim - edges)))
    found = 0.0
    for edge in range(p.ndim - edges):
        axes = tuple(axis + 1 for axis in range(p.ndim - edges) if axis != edge)
        marginals = after.sum(axis=axes)  # (prefixes, operations)
        within = (marginals**2).sum(axis=1).mean()
        total = marginals.sum(axis=0)
        pairs = prefixes * (prefixes - 1)
        between = ((total**2).sum() - (marginals**2).sum()) / pairs
        found += between - within
    return float(found)


def shape_of(p: Floats, values: Floats) -> dict[str, float]:
    """E[value], entropy and total correlation of a policy, and its largest single edge's share."""
    return {
        "expectation": float((p * values).sum()),
        "entropy": entropy(p),
        "correlation": total_correlation(p),
        "likeliest": float(max(marginal(p, edge).max() for edge in range(p.ndim))),
    }
