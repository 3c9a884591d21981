"""A search in stages (DrNAS' progressive search): wider cells, fewer operations, a warm-up each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import Part
from nni_wiring.strategies.parts.partial_channels import PartialChannels
from nni_wiring.strategies.parts.schedules import stage_of
from nni_wiring.supernet.relaxations import DirichletRelaxation
from nni_wiring.supernet.widening import widen


class ChannelStages(Part):
    """K of the partial channels, stage by stage; where it falls, newly visible channels start as
    copies of trained ones, their momenta too. divisors: K of every stage.
    """

    def __init__(self, cells: PartialChannels, divisors: Sequence[int]) -> None:
        self.cells, self.divisors = cells, divisors
        self._epochs = 1

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """K of this epoch's stage."""
        self._epochs = epochs
        self.cells.share.divisor = self._divisor(epoch)

    def after_steps(self, loop: Loop, epoch: int) -> None:
        """Widen what the next stage sees, at the end of a stage."""
        if epoch + 1 >= self._epochs:
            return
        now, then = self._divisor(epoch), self._divisor(epoch + 1)
        if then == now:
            return
        states = loop.theta_optimizer().state

        def momenta(parameter: torch.Tensor) -> list[torch.Tensor]:
            found = states[parameter].get("momentum_buffer") if parameter in states else None
            return [] if found is None else [found]

        for operation in self.cells.operations():
            widen(operation, now, then, loop.generator, momenta)

    def _divisor(self, epoch: int) -> int:
        return self.divisors[stage_of(epoch, self._epochs, len(self.divisors)).number]


class StageWarmUp(Part):
    """Alpha waits for a share of every stage (rounded)."""

    def __init__(self, stages: int, share: float) -> None:
        self.stages, self.share = stages, share
        self._moves = True

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Note the epoch's place in its stage."""
        stage = stage_of(epoch, epochs, self.stages)
        self._moves = epoch - stage.first >= round(self.share * stage.length)

    def alpha_moves(self, epoch: int) -> bool:
        """Not in a stage's warm-up."""
        return self._moves


class OperationStages(Part):
    """Edges keep fewer operations from stage to stage: those of the largest alpha, the first of
    equals. keep: how many an edge keeps in every stage.
    """

    def __init__(self, relaxation: DirichletRelaxation, keep: Sequence[int]) -> None:
        self.relaxation, self.keep = relaxation, keep

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Prune where a stage begins."""
        stage = stage_of(epoch, epochs, len(self.keep))
        if epoch == stage.first:
            self._prune(self.keep[stage.number])

    def _prune(self, keep: int) -> None:
        for group in self.groups:
            alpha = group.alpha.detach().cpu().tolist()
            self.relaxation.kept[group.name] = tuple(
                tuple(sorted(sorted(left, key=lambda k, row=row: -row[k])[:keep]))  # type: ignore[misc]
                for row, left in zip(alpha, self.relaxation.operations(group), strict=True)
            )

    def state(self) -> dict[str, Any]:
        """The operations that are left."""
        kept = self.relaxation.kept
        return {"kept": {name: [list(row) for row in rows] for name, rows in kept.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """See ``state``."""
        kept = {name: tuple(map(tuple, rows)) for name, rows in state["kept"].items()}
        self.relaxation.kept.update(kept)
