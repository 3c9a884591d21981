"""WiringStrategy: NNI's one-shot strategy made of a method's parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.selection.base import Progress, Selected, Selection, SelectionContext
from nni_wiring.selection.decided_cells import without_dropped
from nni_wiring.selection.genotype import darts_genotype, strongest_pairs
from nni_wiring.strategies.checks import check_cells, check_graphs, check_levels
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.warm_up import WarmUp
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults
from nni_wiring.supernet.build import (
    EdgeGroups,
    SupernetBuilder,
    check_no_choice,
    refuse_the_rest,
)
from nni_wiring.supernet.decisions import decided_weights
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.edge_weights import edge_weights
from nni_wiring.supernet.hooks import hooked_parameters
from nni_wiring.validation import validated
from search_spaces.genotypes import Pairs
from search_spaces.nni_api import (
    BaseOneShotLightningModule,
    LightningModule,
    ModelSpace,
    MutationHook,
    OneShotStrategy,
)


class WiringStrategy(OneShotStrategy):
    """One-shot strategy = parts (how alpha becomes Z, what moves alpha, schedules, cells, stop
    rules ..) and a selection, on the one training loop.

    Use it in any NNI program: ``NasExperiment(space, evaluator, DARTS(order=2))``. Keywords are the
    fields of the method's ``Settings``; a bad one raises ConfigError. The evaluator brings data,
    loss and theta's optimiser.

    A method says ``name``, ``paper`` (its description), ``Settings`` (its options and defaults, the
    default selection among them), ``theta`` (its paper's training of the weights), and ``declare``:
    its parts. Nothing else is needed for a new one.

    parts, relaxation: what ``declare`` gave. groups: the edge groups, once the supernet is made.
    evaluation_data: (images, labels) batches for selections that need the trained supernet; unset:
    the evaluator's validation data. selection_progress, selection_folder: handed to them.
    selected: what such a selection found, once the search is over.
    """

    name: ClassVar[str] = "abstract"
    paper: ClassVar[str] = ""
    Settings: ClassVar[type[StrategySettings]] = StrategySettings
    theta: ClassVar[ThetaDefaults] = ThetaDefaults()

    def __init__(
        self, *, mutation_hooks: list[MutationHook] | None = None, **settings: Any
    ) -> None:
        super().__init__(mutation_hooks)
        self.settings = validated(self.Settings, settings, f"strategy {self.name}")
        self.selection = self.settings.build_selection()
        self.parts = self.declare().after(WarmUp(self.settings.warmup_epochs))
        self.relaxation = self.parts.relaxation
        check_levels(self.name, self.settings, self.parts)
        check_graphs(self.name, self.settings, draws=self.parts.program() is None)
        self.groups: list[EdgeGroup] = []
        self.hooked: list[nn.Parameter] = []
        self.evaluation_data: Iterable[Any] | None = None
        self.selection_progress: Progress = lambda done, total, what: None
        self.selection_folder: Path | None = None
        self.selected: Selected | None = None
        self._data: dict[str, Callable[[], Any]] = {}

    def declare(self) -> Parts:
        """The parts of this method, new objects made from its settings."""
        return Parts()

    # --- Z, and the cell that it stands for ---

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Z of one forward pass, with decided edges and edge weights. phase: "weights", "alpha" or
        "joint".
        """
        drawn = self.relaxation.draw(group, phase, generator)
        drawn = drawn.decided(group.decisions.rows())
        return drawn._replace(edge_weights=edge_weights(group))

    def evaluated(self, group: EdgeGroup) -> torch.Tensor:
        """Z, (edges, operations), under which the trained supernet is evaluated: the relaxation's,
        with decided edges; no gradient. ``fixed_draw`` makes a draw of it, or of another Z (a mask,
        a cell), with the same edge weights.
        """
        weights = self.relaxation.evaluation_weights(group).detach()
        return decided_weights(weights, group.decisions.rows())

    def select(self, group: EdgeGroup) -> list[int]:
        """The operation (column of alpha) of every edge of the cell derived now."""
        return self.read_off(group, self.selection)

    def read_off(self, group: EdgeGroup, selection: Selection) -> list[int]:
        """The same, had the search been given another selection that reads every epoch."""
        selected = selection.read(group, self.relaxation.probabilities(group))
        reading = self.parts.reading
        return without_dropped(
            group, selected if reading is None else reading.read(group, selected)
        )

    def genotype(self) -> str | None:
        """The published form of DARTS' normal and reduction cells, derived now; None for others."""
        return darts_genotype(self.groups, self.pairs)

    def pairs(self, group: EdgeGroup) -> Pairs:
        """The (operation, source) pairs of a DARTS cell, derived now."""
        reading = self.parts.reading
        keeps = None if reading is None else partial(reading.keeps, group)
        return strongest_pairs(group, self.evaluated(group), keeps)

    # --- the frame ---

    @property
    def moves_alpha(self) -> bool:
        """True where alpha has an optimiser."""
        return self.parts.alpha.trained

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Move all schedules to the start of an epoch, counted from 0 of ``epochs``."""
        self.parts.on_epoch_start(epoch, epochs)

    def default_mutation_hooks(self) -> list[MutationHook]:
        """Cells and lone LayerChoices become supernet cells; any other choice is refused."""
        factory = self.parts.cells.factory(plain=self.settings.supernet == "plain")
        self._builder = SupernetBuilder(factory)
        return [cast(MutationHook, self._builder), refuse_the_rest]

    def run_hook(
        self, hook: MutationHook, name: str, module: nn.Module, memo: dict[str, Any]
    ) -> Any:
        """Users' hooks run first, and get what NNI's DARTS gives them."""
        return self._builder.run(hook, module, name, memo)

    def mutate_model(self, model: Any) -> Any:
        """Make the supernet, in place; the edge groups become ``model.edge_groups``."""
        model = super().mutate_model(model)
        check_no_choice(model, "the model space itself")
        self.groups = list(self._builder.groups.values())
        if not self.groups:
            raise ConfigError(
                f"strategy {self.name}: the model space has no WiringCell and no LayerChoice"
            )
        check_cells(self.name, self.settings, model)
        for group in self.groups:
            group.initialise(self.settings.alpha_init, mean=self.settings.alpha_init_mean)
        cast(ModelSpace, model).edge_groups = EdgeGroups(self.groups)
        self.hooked = hooked_parameters(model)
        self.parts.prepare(self.groups)
        return model

    def configure_oneshot_module(
        self, training_module: LightningModule
    ) -> BaseOneShotLightningModule:
        """The Lightning module that runs the loop."""
        return SearchModule(training_module, self)

    def train_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """{"train": .., "val": ..} for bi-level search, {"train": ..} for single-level search and
        where no search step moves alpha.
        """
        self._data = {"train": train_dataloader_fn, "val": val_dataloader_fn}
        if self.settings.optimisation == "single_level" or not self.parts.alpha.in_steps:
            return {"train": train_dataloader_fn()}
        return {"train": train_dataloader_fn(), "val": val_dataloader_fn()}

    def val_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """None: the search half is spent on alpha."""
        return None

    # --- the end of a search ---

    def loader(self, half: str) -> Iterable[Any]:
        """The evaluator's batches: "train", or "val" for the search half."""
        return cast(Iterable[Any], self._data[half]())

    def select_at_end(self, module: SearchModule) -> None:
        """Run a selection that needs the trained supernet; the result is ``selected``."""
        if self.selection.at_end:
            context = SelectionContext(
                module,
                evaluation=module.evaluation_batches(),
                train=self.loader("train"),
                search=self.loader("val"),
                progress=self.selection_progress,
                folder=self.selection_folder,
            )
            self.selected = self.selection.select(context)

    def chosen(self, group: EdgeGroup) -> list[int]:
        """The cell to hand over: the final selection's where there was one, else ``select``'s."""
        return self.select(group) if self.selected is None else self.selected.cells[group.name]
