"""Alpha in the hands of a controller (ENAS): it draws the cells, and learns between epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar, NamedTuple, cast

import torch

from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import AlphaUpdate, Reading
from nni_wiring.strategies.parts.controller import (
    Controller,
    Reinforce,
    split_cells,
    train_controller,
)
from nni_wiring.strategies.parts.memory import Memory
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.evaluation import fixed_draw, one_hot, supernet_share
from nni_wiring.supernet.relaxations import Relaxation

#: Cells drawn to estimate the controller's marginal probabilities, with a seed of their own.
MARGINAL_SAMPLES = 1000

Cells = dict[str, list[int]]


class ControllerTraining(NamedTuple):
    """steps: updates after every epoch. samples: cells an update, each rewarded on a batch of its
    own. half: of the data that rewards are taken on. clip: gradient norm limit, or None.
    """

    steps: int
    samples: int
    half: str
    clip: float | None


class PolicyUpdate(AlphaUpdate):
    """REINFORCE on an LSTM controller over the edges of all groups, its reward the supernet's
    accuracy on one batch, with batch statistics (Pham et al., ICML 2018).

    alpha holds the log of the controller's marginal probabilities: what monitors read. memory: a
    buffer of past cells that the controller's states must hold, or None.
    """

    in_steps: ClassVar[bool] = False
    one_process: ClassVar[bool] = True
    controller: Controller

    def __init__(
        self, training: ControllerTraining, reinforce: Reinforce, memory: Memory | None = None
    ) -> None:
        self.training, self.reinforce, self.memory = training, reinforce, memory
        self._learns: list[torch.nn.Parameter] = []

    def prepare(self, groups: Sequence[EdgeGroup]) -> None:
        """Make the controller, and the memory's decoders; the first group holds them."""
        super().prepare(groups)
        self.controller = Controller([mask for group in groups for mask in group.mask])
        groups[0].add_module("controller", self.controller)
        self._learns = list(self.controller.parameters())
        if self.memory is not None:
            decoders = self.memory.prepare(self.controller)
            groups[0].add_module("memory_decoders", decoders)
            self._learns += decoders.parameters()
        self._note_marginals()

    def sample_cells(self, generator: torch.Generator) -> Cells:
        """A cell of the controller's."""
        with torch.no_grad():
            sampled = self.controller(1, generator)
        return split_cells(sampled.operations[0].tolist(), self.groups)

    def likeliest(self) -> Cells:
        """The likeliest operations, edge by edge, each given those before."""
        with torch.no_grad():
            sampled = self.controller(1, greedy=True)
        return split_cells(sampled.operations[0].tolist(), self.groups)

    def after_steps(self, loop: Loop, epoch: int) -> None:
        """Train the controller."""
        batches = self._reward_batches(loop, epoch)
        train_controller(
            self.controller,
            self.reinforce,
            lambda cell: self.reward(loop, cell, next(batches)),
            lambda loss: self._descend(loop, loss),
            loop.generator,
            steps=self.training.steps,
            samples=self.training.samples,
            beside=() if self.memory is None else (self.memory,),
        )
        self._note_marginals()

    def reward(self, loop: Loop, cell: list[int], batch: Any) -> float | torch.Tensor:
        """The supernet's accuracy of a cell on a batch, 0 .. 1, a scalar on its device."""
        cells = split_cells(cell, self.groups)
        z = {group.name: one_hot(group, cells[group.name]) for group in self.groups}
        return supernet_share(loop.model, [batch], z)

    def _reward_batches(self, loop: Loop, epoch: int) -> Iterator[Any]:
        loader = loop.loader(self.training.half)
        set_epoch: Callable[[int], None] | None = getattr(loader, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)  # the same batches in a resumed search
        return chain.from_iterable(iter(lambda: iter(loader), None))

    def _descend(self, loop: Loop, loss: torch.Tensor) -> None:
        optimizer = loop.alpha_optimizer()
        optimizer.zero_grad()
        loop.manual_backward(loss)
        if self.training.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._learns, self.training.clip)
        optimizer.step()

    def _note_marginals(self) -> None:
        with torch.no_grad():
            seeded = torch.Generator().manual_seed(0)
            rows = self.controller(MARGINAL_SAMPLES, seeded).probabilities.mean(dim=0)
            for group in self.groups:
                own, rows = rows[: len(group.edges)], rows[len(group.edges) :]
                logs = own[:, : len(group.operations)].clamp_min(1e-12).log()
                group.alpha.copy_(logs.masked_fill(~group.mask, 0.0))

    def state(self) -> dict[str, Any]:
        """The baseline, the memory's cells; controller and decoders are part of the supernet."""
        memory = {} if self.memory is None else {"memory": self.memory.buffer.rows}
        return {"baseline": self.reinforce.baseline, **memory}

    def load_state(self, state: dict[str, Any]) -> None:
        """See ``state``."""
        self.reinforce.baseline = cast("float | None", state["baseline"])
        if self.memory is not None:
            self.memory.buffer.rows = cast("torch.Tensor | None", state["memory"])


class PolicySample(Relaxation):
    """Z one-hot, drawn by a controller for all groups at once, when the first is asked for."""

    name: ClassVar[str] = "policy_sample"

    def __init__(self, policy: PolicyUpdate) -> None:
        self.policy = policy
        self._drawn: Cells = {}

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """The controller's cell."""
        if group is self.policy.groups[0]:
            self._drawn = self.policy.sample_cells(generator)
        return fixed_draw(group, one_hot(group, self._drawn[group.name]))

    def sample_cells(self, groups: Sequence[EdgeGroup], generator: torch.Generator) -> Cells:
        """A cell of the controller's, all groups together."""
        return self.policy.sample_cells(generator)


class Likeliest(Reading):
    """The controller's likeliest cell."""

    def __init__(self, policy: PolicyUpdate) -> None:
        self.policy = policy

    def read(self, group: EdgeGroup, selected: list[int]) -> list[int]:
        """See the class."""
        return self.policy.likeliest()[group.name]
