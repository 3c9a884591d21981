"""SearchView: a search as parts of methods and selections see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from nni_wiring.strategies.engine.method import Method
from nni_wiring.supernet.edge_group import EdgeGroup


class SearchView:
    """The search module's answers for its method."""

    strategy: Method
    generator: torch.Generator

    @property
    def groups(self) -> list[EdgeGroup]:
        """The edge groups of the supernet."""
        return self.strategy.groups

    @property
    def single_level(self) -> bool:
        """True where theta and alpha are trained from one pass over the training data."""
        return self.strategy.settings.optimisation == "single_level"

    def arch_parameters(self) -> list[nn.Parameter]:
        """Architecture parameters, group by group in order of appearance; rows by label. Then those
        of the modules that users' mutation hooks made.
        """
        ours = [parameter for group in self.groups for parameter in group.parameters()]
        return [*ours, *self.strategy.hooked]

    def evaluated(self, group: EdgeGroup) -> torch.Tensor:
        """Z, (edges, operations), under which the method evaluates its supernet."""
        return self.strategy.evaluated(group)

    def sample_cells(self) -> dict[str, list[int]]:
        """One cell a group, drawn as the method draws."""
        return self.strategy.relaxation.sample_cells(self.groups, self.generator)

    def loader(self, half: str) -> Iterable[Any]:
        """The batches of a half of the data: "train" or "val" (the search half)."""
        return self.strategy.loader(half)

    def evaluation_batches(self) -> Iterable[Any]:
        """(images, labels) batches to evaluate the supernet on."""
        given = self.strategy.evaluation_data
        return self.loader("val") if given is None else given
