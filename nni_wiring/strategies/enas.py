"""ENAS: a controller draws the cells, and is rewarded with the supernet's accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, ClassVar, cast

import torch
from pydantic import Field

from nni_wiring.selection.base import Cells
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.strategies.parts.controller import (
    Controller,
    Reinforce,
    split_cells,
    train_controller,
)
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.evaluation import fixed_draw, one_hot, supernet_accuracy
from nni_wiring.supernet.relaxations.base import Relaxation

#: Cells drawn to estimate the controller's marginal probabilities, with a seed of their own.
MARGINAL_SAMPLES = 1000


class ENASSettings(StrategySettings):
    """controller_steps: updates of the controller after every epoch; controller_samples: cells an
    update, each rewarded on a batch of its own. entropy_weight: of the controller's entropy (nats)
    in the reward. baseline_decay: of the moving baseline. alpha_*: Adam on the controller.
    """

    alpha_lr: float = Field(default=1e-3, ge=0)
    alpha_betas: tuple[float, float] = (0.0, 0.999)
    alpha_eps: float = Field(default=1e-3, gt=0)
    alpha_weight_decay: float = Field(default=0.0, ge=0)
    alpha_clip: float | None = Field(default=5.0, gt=0)
    selection: str = "supernet_ranking"
    controller_steps: int = Field(default=50, ge=1)
    controller_samples: int = Field(default=20, ge=1)
    entropy_weight: float = Field(default=1e-4, ge=0)
    baseline_decay: float = Field(default=0.99, ge=0, le=1)


class PolicySample(Relaxation):
    """Z one-hot, drawn by a controller; alpha holds the log of its marginal probabilities."""

    name: ClassVar[str] = "policy_sample"


class ENAS(WiringStrategy):
    """ENAS (Pham et al., ICML 2018): theta is trained on cells that an LSTM controller draws; after
    every epoch the controller learns by REINFORCE, its reward the supernet's accuracy on one batch
    of the search half (single_level: of the training data) with batch statistics.

    The cell of an epoch is the controller's likeliest, edge by edge; the final one the best of
    cells that it draws. Defaults are those of the NAS-Bench-201 paper's runs (AutoDL-Projects;
    theory page, section 6), but for theta's cosine, which AutoDL restarts every 10 epochs.
    """

    name: ClassVar[str] = "enas"
    paper: ClassVar[str] = "Pham et al., ICML 2018, arXiv 1802.03268"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(250, 128, 0.05, 0.0005, 0.9, 2.5e-4, True)
    Settings = ENASSettings
    settings: ENASSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.reinforce = Reinforce(self.settings.entropy_weight, self.settings.baseline_decay)
        self._drawn: Cells = {}

    def relaxation_for(self) -> PolicySample:
        """A cell of the controller's."""
        return PolicySample()

    def prepare(self) -> None:
        """Add the controller over the edges of all groups; the first group holds it."""
        masks = [mask for group in self.groups for mask in group.mask]
        self.controller = Controller(masks)
        self.groups[0].add_module("controller", self.controller)
        self._note_marginals()

    def alpha_moves_in(self, epoch: int) -> bool:
        """Never within an epoch."""
        return False

    def train_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """{"train": ..}: the search half is the controller's, between epochs."""
        loaders = super().train_dataloader(train_dataloader_fn, val_dataloader_fn)
        return {"train": loaders["train"]}

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """The controller's cell; all groups are drawn at once, when the first is asked for."""
        if group is self.groups[0]:
            self._drawn = self.sample_cells(generator)
        return fixed_draw(one_hot(group, self._drawn[group.name]), group.alpha.device)

    def sample_cells(self, generator: torch.Generator) -> Cells:
        """A cell of the controller's."""
        with torch.no_grad():
            sampled = self.controller(1, generator)
        return split_cells(sampled.operations[0].tolist(), self.groups)

    def select(self, group: EdgeGroup) -> list[int]:
        """The likeliest operations, edge by edge."""
        with torch.no_grad():
            cell = self.controller(1, greedy=True).operations[0].tolist()
        return split_cells(cell, self.groups)[group.name]

    def after_steps(self, module: SearchModule, epoch: int) -> None:
        """Train the controller."""
        if epoch < self.settings.warmup_epochs:
            return
        batches = self._reward_batches(epoch)
        train_controller(
            self.controller,
            self.reinforce,
            lambda cell: self.reward(module, cell, next(batches)),
            lambda loss: self._descend(module, loss),
            module.generator,
            steps=self.settings.controller_steps,
            samples=self.settings.controller_samples,
        )
        self._note_marginals()

    def reward(self, module: SearchModule, cell: list[int], batch: Any) -> float:
        """The supernet's accuracy of a cell on a batch, 0 .. 1."""
        cells = split_cells(cell, self.groups)
        z = {group.name: one_hot(group, cells[group.name]) for group in self.groups}
        return supernet_accuracy(module.model, [batch], z) / 100

    def _reward_batches(self, epoch: int) -> Iterator[Any]:
        part = "train" if self.settings.optimisation == "single_level" else "val"
        loader = self._data[part]()
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)  # the same batches in a resumed search
        return chain.from_iterable(iter(lambda: iter(loader), None))

    def _descend(self, module: SearchModule, loss: torch.Tensor) -> None:
        optimizer = module.alpha_optimizer()
        optimizer.zero_grad()
        module.manual_backward(loss)
        if self.settings.alpha_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.controller.parameters(), self.settings.alpha_clip)
        optimizer.step()

    def _note_marginals(self) -> None:
        """alpha <- log of the marginal probabilities: what monitors read."""
        with torch.no_grad():
            seeded = torch.Generator().manual_seed(0)
            rows = self.controller(MARGINAL_SAMPLES, seeded).probabilities.mean(dim=0)
            for group in self.groups:
                own, rows = rows[: len(group.edges)], rows[len(group.edges) :]
                logs = own[:, : len(group.operations)].clamp_min(1e-12).log()
                group.alpha.copy_(logs.masked_fill(~group.mask, 0.0))

    def search_state(self) -> dict[str, Any]:
        """The baseline; the controller is part of the supernet."""
        return {"baseline": self.reinforce.baseline}

    def load_search_state(self, state: dict[str, Any]) -> None:
        """See ``search_state``."""
        self.reinforce.baseline = cast("float | None", state["baseline"])
