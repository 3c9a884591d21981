"""The interface of a method's part, and the roles that parts have."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import torch

from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import EdgeGroup


class Part:
    """One idea of a method, with hooks that do nothing unless it overrides them.

    A part is made anew for every strategy object. What it must change (a relaxation's temperature,
    a cell's channel share) it is given when it is made. groups: the edge groups of the supernet,
    once that is built. needs_two_levels: whether it makes sense in bi-level search only.
    """

    needs_two_levels: ClassVar[bool] = False
    groups: Sequence[EdgeGroup] = ()

    def prepare(self, groups: Sequence[EdgeGroup]) -> None:
        """Called once the supernet is made: note its groups. A part may add to a group the
        parameters that it learns beyond alpha: they are architecture parameters too (checkpoints
        hold them, alpha's optimiser trains them, and a frozen network has none of them).
        """
        self.groups = groups

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Schedules. epoch counts from 0 of ``epochs``."""

    def alpha_moves(self, epoch: int) -> bool:
        """True where this part lets alpha move in this epoch."""
        return True

    def after_steps(self, loop: Loop, epoch: int) -> None:
        """Work between epochs: called after the last step, before monitors read the epoch."""

    def program(self) -> Hashable | None:
        """All that a gradient's launches depend on beside the batch, None where they change from
        step to step: operations or numbers drawn on the host, host numbers that move. A CUDA graph
        repeats its launches and all host numbers in them.
        """
        return ()

    def state(self) -> dict[str, Any]:
        """The knowledge of a resumed search beyond weights, alphas, decided edges and optimisers;
        tensors and plain values.
        """
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""


class AlphaUpdate(Part):
    """The way that alpha moves.

    trained: whether alpha has an optimiser at all. in_steps: whether search steps move it (else
    only work between epochs does). reads_leaves: whether it makes alpha's gradient out of dL/dZ,
    for relaxations that draw Z as a leaf. one_process: whether it computes alpha's gradient itself,
    so that nothing would average it over several processes, whose alphas would part.
    """

    trained: ClassVar[bool] = True
    in_steps: ClassVar[bool] = True
    reads_leaves: ClassVar[bool] = False
    one_process: ClassVar[bool] = False

    def gradient(self, loop: Loop, batch: dict[str, Any], batch_idx: int) -> None:
        """Leave the bi-level gradient in alpha.grad. batch: {"train": .., "val": ..}."""

    def estimate(self) -> None:
        """After a backward pass: turn dL/dZ into alpha's gradient where autograd did not."""

    def after_step(self) -> None:
        """Called when alpha's optimiser has made its step; ``group.draw`` is still the step's."""


class WeightsUpdate(Part):
    """The way from the training loss of a bi-level step to theta's gradient."""

    def gradient(self, loop: Loop, batch: dict[str, Any], batch_idx: int) -> None:
        """Leave the gradient in the weights' .grad."""
        loop.manual_backward(loop.loss("weights", batch["train"], batch_idx))


class CellKind(Part):
    """The kind of cell that the supernet runs."""

    def factory(self, *, plain: bool) -> Callable[..., SupernetCell]:
        """(graph, edges, group) -> SupernetCell. plain: the reference where there is a choice."""
        raise NotImplementedError


class Regulariser(Part):
    """A term of the loss that alpha descends."""

    def loss(self) -> torch.Tensor:
        """The weighted term, a scalar."""
        raise NotImplementedError


class StopRule(Part):
    """Ends a search early."""

    def should_stop(self, epoch: int) -> bool:
        """True after the last epoch; asked only at the end of epochs in which alpha moves."""
        raise NotImplementedError


class Reading(Part):
    """The reading of an epoch's cell, where the selection alone does not say."""

    def read(self, group: EdgeGroup, selected: list[int]) -> list[int]:
        """A column of alpha for every edge. selected: what the selection read off p(alpha)."""
        return selected

    def keeps(self, group: EdgeGroup, selected: list[int]) -> list[bool]:
        """The edges worth keeping, with the operations ``selected``; the genotypes of DARTS'
        cells leave the others out.
        """
        return [True] * len(selected)
