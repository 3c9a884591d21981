"""Parts: the declaration of a method, and its parts called in turn."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nni_wiring.errors import RunError
from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import (
    AlphaUpdate,
    CellKind,
    Part,
    Reading,
    Regulariser,
    StopRule,
    WeightsUpdate,
)
from nni_wiring.strategies.parts.full_cells import FullCells
from nni_wiring.strategies.parts.gradient import Gradient
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation, Softmax


@dataclass(frozen=True)
class Parts:
    """A method, declared; what it does not name is DARTS'.

    relaxation: alpha -> Z. alpha: how alpha moves. weights: how theta's gradient is made. cells:
    how cells are run. schedules: temperatures, warm-ups, stages, decisions on edges. regularisers:
    terms of alpha's loss. stops: rules that end a search early, each asked every epoch. reading:
    how an epoch's cell is read beyond what the selection says. The default selection, and whether
    the search is bi-level, are defaults of the method's settings.
    """

    relaxation: Relaxation = field(default_factory=Softmax)
    alpha: AlphaUpdate = field(default_factory=Gradient)
    weights: WeightsUpdate = field(default_factory=WeightsUpdate)
    cells: CellKind = field(default_factory=FullCells)
    schedules: tuple[Part, ...] = ()
    regularisers: tuple[Regulariser, ...] = ()
    stops: tuple[StopRule, ...] = ()
    reading: Reading | None = None

    def __post_init__(self) -> None:
        if self.alpha.in_steps and self.relaxation.pathwise == self.alpha.reads_leaves:
            path = "carries" if self.relaxation.pathwise else "does not carry"
            raise TypeError(
                f"relaxation {self.relaxation.name}: autograd {path} its gradient to alpha, so "
                f"{type(self.alpha).__name__} cannot move it"
            )

    def __iter__(self) -> Iterator[Part]:
        """Every part but the relaxation, which has no hooks."""
        yield from (self.alpha, self.weights, self.cells, *self.schedules)
        yield from (*self.regularisers, *self.stops)
        if self.reading is not None:
            yield self.reading

    def after(self, part: Part) -> Parts:
        """The same parts with one more schedule before the others."""
        return replace(self, schedules=(part, *self.schedules))

    def prepare(self, groups: Sequence[EdgeGroup]) -> None:
        """Tell every part that the supernet is made."""
        for part in self:
            part.prepare(groups)

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Move every schedule to the start of an epoch, counted from 0."""
        for part in self:
            part.on_epoch_start(epoch, epochs)

    def alpha_moves_in(self, epoch: int) -> bool:
        """True where alpha is trained in this epoch."""
        return self.alpha.trained and all(part.alpha_moves(epoch) for part in self)

    def after_steps(self, loop: Loop, epoch: int) -> None:
        """The parts' work between epochs; alpha's only where alpha moves."""
        for part in self:
            if part is not self.alpha or self.alpha_moves_in(epoch):
                part.after_steps(loop, epoch)

    def should_stop(self, epoch: int) -> bool:
        """True where a rule ends the search; none is asked in epochs in which alpha stays."""
        if not self.alpha_moves_in(epoch):
            return False
        answers = [rule.should_stop(epoch) for rule in self.stops]  # rules count, so ask them all
        return any(answers)

    def regulariser(self) -> torch.Tensor | None:
        """The sum of the terms to add to alpha's loss; None for none."""
        terms = [part.loss() for part in self.regularisers]
        return sum(terms[1:], start=terms[0]) if terms else None

    def program(self) -> Hashable | None:
        """All that a gradient's launches depend on beside the batch, part by part; None where they
        change from step to step.
        """
        programs = [part.program() for part in self]
        if not self.relaxation.deterministic or None in programs:
            return None
        return tuple(programs)

    def state(self) -> dict[str, dict[str, Any]]:
        """The state of every part that has something to remember, for a resumed search."""
        found = {name: part.state() for name, part in self._named()}
        return {name: state for name, state in found.items() if state}

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take up what ``state`` gave. Raises RunError where it is another method's."""
        for name, part in self._named():
            if name in state:
                part.load_state(state[name])
            elif part.state():
                raise RunError(f"the checkpoint does not know the method's part {name}")

    def _named(self) -> list[tuple[str, Part]]:
        """The parts by class name; of equal names all but the first are numbered."""
        names: list[str] = []
        for part in self:
            name = type(part).__name__
            count = sum(other.split("#")[0] == name for other in names)
            names.append(f"{name}#{count + 1}" if count else name)
        return list(zip(names, self, strict=True))
