"""The interface of a selection, which reads a cell off a supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict

from nni_wiring.selection.searched import Searched
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.validation import validated

#: Told how far a selection is: (steps done, steps in all, what is being done).
Progress = Callable[[int, int, str], None]

#: The operation (column of alpha) of every edge, by group name.
Cells = dict[str, list[int]]


@dataclass(frozen=True)
class SelectionContext:
    """The things that a selection at the end of a search may use.

    Attributes:
        module: the trained search, which says how its supernet is evaluated.
        evaluation: (images, labels) batches of the whole search half, without augmentation.
        train: of the training half, for selections that tune the weights.
        search: of the search half, augmented, for those that go on training alpha.
        progress: to be told how far it is.
        folder: where a long selection may keep what it needs to go on after an interruption, or
            None.
    """

    module: Searched
    evaluation: Iterable[Any]
    train: Iterable[Any]
    search: Iterable[Any] = ()
    progress: Progress = lambda done, total, what: None
    folder: Path | None = None


@dataclass(frozen=True)
class Selected:
    """The cell that a selection at the end of a search found. details: its trace; JSON-ready."""

    cells: Cells
    details: dict[str, Any] = field(default_factory=dict)


def magnitude(
    group: EdgeGroup, probabilities: torch.Tensor, *, allow_none: bool = True
) -> list[int]:
    """The operation (column of alpha) of the largest p(alpha) on every edge; the first wins a tie.

    probabilities: p(alpha), (edges, operations). allow_none: whether ``none`` may be chosen.
    AutoDL's NAS-Bench-201 search lets it; the original DARTS does not. An edge that allows nothing
    but ``none`` keeps it.
    """
    values = probabilities.detach().cpu().masked_fill(~group.mask.cpu(), -1.0)
    if not allow_none and "none" in group.operations:
        none = group.operations.index("none")
        for edge, row in enumerate(group.allowed):
            if len(row) > 1:
                values[edge, none] = -1.0
    return values.argmax(dim=-1).tolist()


class SelectionSettings(BaseModel):
    """Settings of a selection, given as the option ``selection_settings``; a kind adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Selection:
    """A way to read a cell off a supernet. Keywords are fields of ``Settings``; a bad one raises
    ConfigError.

    Attributes:
        name, summary: its entry in the registry.
        at_end: whether it needs the trained supernet: ``select`` then runs once, at the end of the
            search, and the epochs before it show the method's own cheap reading.
    """

    name: ClassVar[str] = "abstract"
    summary: ClassVar[str] = ""
    at_end: ClassVar[bool] = False
    Settings: ClassVar[type[SelectionSettings]] = SelectionSettings

    def __init__(self, **settings: Any) -> None:
        self.settings = validated(self.Settings, settings, f"selection {self.name}")

    def read(self, group: EdgeGroup, probabilities: Any) -> list[int]:
        """Every epoch: a column of alpha for every edge, from p(alpha), (edges, operations)."""
        return magnitude(group, probabilities)

    def select(self, context: SelectionContext) -> Selected:
        """Once, at the end of the search (only where ``at_end``)."""
        raise NotImplementedError(f"selection {self.name} is read every epoch")
