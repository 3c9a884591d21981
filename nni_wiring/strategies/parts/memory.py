"""The memory of a controller: cells that it drew, which its hidden states learn to hold."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from nni_wiring.strategies.parts.controller import Controller


class MemoryBuffer:
    """The last ``size`` cells, oldest first. rows: (cells, edges), operations; on the CPU."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: torch.Tensor | None = None

    def add(self, operations: torch.Tensor) -> None:
        """Take cells, (n, edges), in their order; the oldest give way."""
        new = operations.detach().cpu()
        rows = new if self.rows is None else torch.cat([self.rows, new])
        self.rows = rows[-self.size :].clone()

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """n cells, uniformly, with replacement: (n, edges). The buffer must not be empty."""
        rows = cast(torch.Tensor, self.rows)
        return rows[torch.randint(len(rows), (n,), generator=generator)]


class Decoders(nn.Module):
    """A linear decoder for every edge s, from a hidden state to the operation of s.

    They start at zero, so making them draws nothing: searches of one seed start from the same
    controller with and without them [ours].
    """

    def __init__(self, edges: int, operations: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(edges, operations, units))
        self.bias = nn.Parameter(torch.zeros(edges, operations))

    def forward(self, after: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy, nats, over cells and pairs s <= t, of edge s read off the state after
        edge t; a scalar.

        after: (n, edges, units), the states once the operation of each edge is read. operations:
        (n, edges).
        """
        edges = operations.shape[1]
        logits = torch.einsum("ntu,sou->ntso", after, self.weight) + self.bias
        target = operations[:, None, :, None].expand(-1, edges, -1, -1)
        log_p = torch.log_softmax(logits, dim=-1).gather(3, target)[..., 0]
        t, s = torch.tril_indices(edges, edges, device=after.device)
        return -log_p[:, t, s].mean()


class Memory:
    """A term beside REINFORCE: weight times the loss of reconstructing cells of the past, read
    off the controller's hidden states.

    weight: of that loss, > 0. samples: cells of the buffer that an update reads, teacher forced.
    The cells of the update itself are in the buffer already [ours].
    """

    decoders: Decoders

    def __init__(self, weight: float, size: int, samples: int) -> None:
        self.weight, self.samples = weight, samples
        self.buffer = MemoryBuffer(size)

    def prepare(self, controller: Controller) -> Decoders:
        """Make the decoders of a controller's states."""
        edges, operations = controller.masks.shape
        self.decoders = Decoders(edges, operations, controller.lstm.hidden_size)
        return self.decoders

    def loss(
        self, controller: Controller, drawn: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Keep the cells drawn, (n, edges), and return the weighted loss, a scalar."""
        self.buffer.add(drawn)
        rows = self.buffer.sample(self.samples, generator).to(drawn.device)
        return self.weight * self.decoders(controller.given(rows).states[:, 1:], rows)
