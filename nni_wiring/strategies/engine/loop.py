"""Loop: what the parts of a method may use of the training loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import nn

from nni_wiring.supernet.edge_group import EdgeGroup


class Loop(Protocol):
    """A search under way (``SearchModule``), as a part of a method sees it.

    model: the supernet. generator: the search's own random source (CPU); draws use no other.
    """

    model: Any
    generator: torch.Generator

    @property
    def groups(self) -> Sequence[EdgeGroup]:
        """The edge groups of the supernet."""

    def arch_parameters(self) -> list[nn.Parameter]:
        """Architecture parameters, group by group."""

    def buffers(self) -> Iterator[torch.Tensor]:
        """Batch norm statistics and the like."""

    def loss(self, phase: str, data: Any, batch_idx: int, *, record: bool = True) -> torch.Tensor:
        """Draw Z and return the loss on ``data``. record: whether monitors may count the pass."""

    def manual_backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass of a loss."""

    def constant_weights(self) -> AbstractContextManager[None]:
        """While open, theta is constant."""

    def theta_optimizer(self) -> Any:
        """The weights' optimiser."""

    def alpha_optimizer(self) -> Any:
        """The architecture parameters' optimiser."""

    def sample_cells(self) -> dict[str, list[int]]:
        """One cell a group, drawn as the method draws."""

    def loader(self, half: str) -> Iterable[Any]:
        """The batches of a half of the data: "train" or "val" (the search half)."""

    def evaluation_batches(self) -> Iterable[Any]:
        """(images, labels) batches to evaluate the supernet on."""
