"""Searched: a trained search as a selection sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from nni_wiring.supernet.edge_group import EdgeGroup


class Searched(Protocol):
    """The part of a search that a selection at its end may use; the search module is one.

    Attributes:
        model: the supernet.
        generator: the search's own random source (CPU).
        tuning: optimisers of theta (False) and alpha (True) for ``search_step``, in the place of
            the search's own.
    """

    model: Any
    generator: torch.Generator
    tuning: dict[bool, torch.optim.Optimizer]

    @property
    def groups(self) -> Sequence[EdgeGroup]:
        """The edge groups of the supernet; decided edges are noted in their ``decisions``."""

    @property
    def single_level(self) -> bool:
        """True where theta and alpha are trained from one pass over the training data."""

    def evaluated(self, group: EdgeGroup) -> torch.Tensor:
        """Z, (edges, operations), under which the method evaluates its supernet: the Z that it
        trains with (its mean, where it is drawn), with decided edges; no gradient.
        """

    def sample_cells(self) -> dict[str, list[int]]:
        """One cell a group, drawn as the method draws."""

    def weight_parameters(self) -> list[nn.Parameter]:
        """All parameters beside the architecture's."""

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer | None:
        """A new optimiser of alpha; None where the method does not move it."""

    def alpha_state(self) -> dict[str, Any] | None:
        """The state of alpha's optimiser at the end of the search; None where there is none."""

    def search_step(self, batch: dict[str, Any], batch_idx: int, alpha_moves: bool) -> None:
        """One step of the search. batch: {"train": .., "val": ..}."""

    def train(self, mode: bool = True) -> nn.Module:
        """Set the training mode."""

    def state_dict(self) -> dict[str, Any]:
        """Weights, alphas, statistics."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Put back what ``state_dict`` gave."""
