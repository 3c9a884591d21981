"""ENAS' controller: an LSTM that draws a cell edge by edge, and its training by REINFORCE."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import nn

from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations.gumbel import gumbel_noise


class Sampled(NamedTuple):
    """Cells drawn by a controller, n at a time, edges of all groups in order.

    operations: (n, edges), columns of the groups' alphas. log_probability, entropy: (n,), nats,
    summed over edges. probabilities: (n, edges, operations), of every edge given those before.
    """

    operations: torch.Tensor
    log_probability: torch.Tensor
    entropy: torch.Tensor
    probabilities: torch.Tensor


class Forced(NamedTuple):
    """Given cells as a controller reads them.

    log_probabilities: (n, edges), nats, of every edge's operation given those before. states:
    (n, edges + 1, units), the upper layer's output from which each edge's operation is drawn, and
    last the one after the last operation.
    """

    log_probabilities: torch.Tensor
    states: torch.Tensor


class Controller(nn.Module):
    """LSTM of 2 x 32 units; logits = 2.5 tanh(w h / 5); the input is the embedding of the previous
    edge's operation, at first a learnt vector; all initialised U(-.1, .1) (theory page, section 4).
    """

    masks: torch.Tensor

    def __init__(self, masks: Sequence[torch.Tensor], size: int = 32, layers: int = 2) -> None:
        """masks: for every edge, which operations it allows, (operations,) bool."""
        super().__init__()
        width = max(len(mask) for mask in masks)
        table = torch.stack([nn.functional.pad(mask, (0, width - len(mask))) for mask in masks])
        self.register_buffer("masks", table, persistent=False)
        self.start = nn.Parameter(torch.empty(1, size))
        self.embedding = nn.Embedding(width, size)
        self.lstm = nn.LSTM(size, size, layers)
        self.head = nn.Linear(size, width)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(
        self, n: int, generator: torch.Generator | None = None, *, greedy: bool = False
    ) -> Sampled:
        """Draw n cells (greedy: the likeliest operation of every edge, given those before)."""
        x, state = self.start.expand(n, -1), None
        operations, logs, entropies, probabilities = [], [], [], []
        for mask in self.masks:
            h, state = self.lstm(x[None], state)
            logits = self._logits(h[0], mask)
            keys = logits.detach()
            if not greedy and generator is not None:
                keys = keys + gumbel_noise(keys, generator)
            choice = keys.argmax(dim=-1)
            log_p = torch.log_softmax(logits, dim=-1)
            p = log_p.exp()
            operations.append(choice)
            logs.append(log_p.gather(1, choice[:, None])[:, 0])
            entropies.append(-(p * log_p.masked_fill(~mask, 0.0)).sum(dim=-1))
            probabilities.append(p)
            x = self.embedding(choice)
        return Sampled(
            torch.stack(operations, dim=1),
            torch.stack(logs, dim=1).sum(dim=1),
            torch.stack(entropies, dim=1).sum(dim=1),
            torch.stack(probabilities, dim=1),
        )

    def _logits(self, h: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (2.5 * torch.tanh(self.head(h) / 5)).masked_fill(~mask, -torch.inf)

    def given(self, operations: torch.Tensor) -> Forced:
        """Teacher forcing: the controller reads cells, (n, edges), instead of drawing them."""
        x = self.embedding(operations).transpose(0, 1)
        first = self.start.expand(len(operations), -1)[None]
        h, _ = self.lstm(torch.cat([first, x]))
        pairs = zip(h[:-1], self.masks, strict=True)
        rows = [torch.log_softmax(self._logits(*pair), -1) for pair in pairs]
        table = torch.stack(rows, dim=1)
        return Forced(table.gather(2, operations[..., None])[..., 0], h.transpose(0, 1))

    @torch.no_grad()
    def distribution(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All cells, (n, edges), the last edge fastest, and their exact p, (n,), in float64.

        Cells with a prefix in common share its LSTM steps: 1 + 5 + 25 + ... of them.
        """
        own = copy.deepcopy(self).double()
        x, state = own.start, None
        cells = torch.empty(1, 0, dtype=torch.long, device=x.device)
        log_p = torch.zeros(1, dtype=x.dtype, device=x.device)
        for mask in own.masks:
            h, state = own.lstm(x[None], state)
            step = torch.log_softmax(own._logits(h[0], mask), -1)[:, mask]
            allowed, n = mask.nonzero()[:, 0], len(cells)
            choice = allowed.repeat(n)
            cells = cells.repeat_interleave(len(allowed), dim=0)
            cells = torch.cat([cells, choice[:, None]], dim=1)
            log_p = (log_p[:, None] + step).flatten()
            state = tuple(part.repeat_interleave(len(allowed), dim=1) for part in state)
            x = own.embedding(choice)
        return cells, log_p.exp()


class Reinforce:
    """REINFORCE with a moving baseline: the state of a controller's training.

    entropy_weight: entropy (nats) times this is added to the reward, as in AutoDL. decay: of the
    baseline, which starts at the first reward and moves with every sample [ours]. AutoDL keeps the
    baseline of the epoch before: within an epoch each sample's is that one, moved by its own reward
    alone, and the last sample's is handed on.
    """

    def __init__(self, entropy_weight: float, decay: float) -> None:
        self.entropy_weight, self.decay = entropy_weight, decay
        self.baseline: float | None = None

    def loss(self, sampled: Sampled, rewards: torch.Tensor) -> torch.Tensor:
        """-mean of log p(cell) (R - b), a scalar; moves the baseline. rewards: (n,), 0 .. 1."""
        total = (rewards + self.entropy_weight * sampled.entropy.detach().cpu()).tolist()
        advantages = []
        for reward in total:
            before = reward if self.baseline is None else self.baseline
            self.baseline = self.decay * before + (1 - self.decay) * reward
            advantages.append(reward - self.baseline)
        weights = torch.tensor(advantages).to(sampled.log_probability)
        return -(sampled.log_probability * weights).mean()


class ControllerLoss(Protocol):
    """A term of the loss beside REINFORCE's."""

    def loss(
        self, controller: Controller, drawn: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The weighted term, a scalar, once the cells ``drawn``, (n, edges), are rewarded."""


def train_controller(
    controller: Controller,
    reinforce: Reinforce,
    reward: Callable[[list[int]], float | torch.Tensor],
    step: Callable[[torch.Tensor], None],
    generator: torch.Generator,
    *,
    steps: int,
    samples: int,
    beside: Sequence[ControllerLoss] = (),
) -> None:
    """``steps`` updates from ``samples`` cells each.

    reward: of one cell (operations of all edges), 0 .. 1; scalars on a device are read together,
    once an update. step: descends a loss. beside: terms added to REINFORCE's loss.
    """
    for _ in range(steps):
        sampled = controller(samples, generator)
        earned = [torch.as_tensor(reward(cell)) for cell in sampled.operations.tolist()]
        rewards = torch.stack(earned).cpu().float()
        loss = reinforce.loss(sampled, rewards)
        for term in beside:
            loss = loss + term.loss(controller, sampled.operations, generator)
        step(loss)


def split_cells(operations: Sequence[int], groups: Sequence[EdgeGroup]) -> dict[str, list[int]]:
    """The operations of all edges in a row -> {group name: one an edge}."""
    cells, rest = {}, list(operations)
    for group in groups:
        cells[group.name], rest = rest[: len(group.edges)], rest[len(group.edges) :]
    return cells
