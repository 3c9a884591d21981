"""Method: what the training loop asks of a strategy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from nni_wiring.selection.base import Selected, Selection
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.settings import StrategySettings
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation


class Method(Protocol):
    """A strategy (``WiringStrategy``), as the loop sees it; its attributes are described there."""

    name: ClassVar[str]
    parts: Parts
    selection: Selection
    selected: Selected | None
    relaxation: Relaxation
    groups: list[EdgeGroup]
    hooked: list[nn.Parameter]
    evaluation_data: Iterable[Any] | None

    @property
    def settings(self) -> StrategySettings:
        """Its settings."""

    @property
    def moves_alpha(self) -> bool:
        """True where alpha has an optimiser."""

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Move its schedules to the start of an epoch."""

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Z of one forward pass."""

    def evaluated(self, group: EdgeGroup) -> torch.Tensor:
        """Z under which the supernet is evaluated."""

    def select(self, group: EdgeGroup) -> list[int]:
        """The cell derived now."""

    def read_off(self, group: EdgeGroup, selection: Selection) -> list[int]:
        """The cell that another selection would derive now."""

    def genotype(self) -> str | None:
        """The genotype of DARTS' cells, derived now."""

    def chosen(self, group: EdgeGroup) -> list[int]:
        """The cell to hand over."""

    def loader(self, half: str) -> Iterable[Any]:
        """The batches of a half of the data."""

    def select_at_end(self, module: Any) -> None:
        """Run a selection that needs the trained supernet."""
