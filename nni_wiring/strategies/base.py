"""WiringStrategy: a one-shot method in the unified view. A method's file overrides only what its
paper changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.selection.base import Cells, Progress, Selected, SelectionContext
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults
from nni_wiring.supernet.build import (
    EdgeGroups,
    SupernetBuilder,
    check_no_choice,
    refuse_the_rest,
)
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.fused.cell import all_fused, compile_cells, fused_or_plain
from nni_wiring.supernet.hooks import hooked_parameters
from nni_wiring.supernet.relaxations import Relaxation, Softmax
from nni_wiring.validation import validated
from search_spaces.nni_api import (
    BaseOneShotLightningModule,
    LightningModule,
    ModelSpace,
    MutationHook,
    OneShotStrategy,
)
from search_spaces.operations import Noise


class WiringStrategy(OneShotStrategy):
    """One-shot strategy = relaxation (alpha -> Z) + what moves alpha + schedule + selection, on the
    one training loop.

    Use it in any NNI program: ``NasExperiment(space, evaluator, DARTS(order=2))``. Keywords are the
    fields of the method's ``Settings``; a bad one raises ConfigError. The evaluator brings data,
    loss and theta's optimiser.

    What a method may override, and nothing else is needed for a new one:

    - ``Settings``, ``theta``, ``name``, ``paper``: its settings, its paper's training of theta, its
      description;
    - ``relaxation_for``: alpha -> Z;
    - ``moves_alpha``: False where alpha stays as it is;
    - ``cell_factory``: another implementation of the supernet cell;
    - ``prepare``: parameters that it learns beyond alpha;
    - ``weights_gradient``: how theta's loss becomes its gradient;
    - ``regulariser``, ``gradient_inputs``, ``estimate_alpha_gradient`` or, for all three,
      ``alpha_gradient``: how a loss becomes alpha's gradient;
    - ``after_alpha_step``: corrections of alpha once its optimiser has moved it;
    - ``on_epoch_start``, ``after_steps``, ``on_epoch_end``: schedules, work between epochs and
      stop rules;
    - ``program``: whether its gradients may run as CUDA graphs;
    - ``search_state``, ``load_search_state``: what these must remember across a resume;
    - ``select``, ``sample_cells``: how a cell is read off each epoch, and drawn.

    evaluation_data: (images, labels) batches for selections that need the trained supernet; unset:
    the evaluator's validation data. selection_progress, selection_folder: handed to them.
    selected: what such a selection found, once the search is over.
    """

    name: ClassVar[str] = "abstract"
    paper: ClassVar[str] = ""
    Settings: ClassVar[type[StrategySettings]] = StrategySettings
    theta: ClassVar[ThetaDefaults] = ThetaDefaults()
    moves_alpha: ClassVar[bool] = True

    def __init__(
        self, *, mutation_hooks: list[MutationHook] | None = None, **settings: Any
    ) -> None:
        super().__init__(mutation_hooks)
        self.settings = validated(self.Settings, settings, f"strategy {self.name}")
        self.relaxation = self.relaxation_for()
        self._check_graphs(draws=self.program() is None)
        self.selection = self.settings.build_selection()
        self.groups: list[EdgeGroup] = []
        self._hooked: list[nn.Parameter] = []
        self.evaluation_data: Iterable[Any] | None = None
        self.selection_progress: Progress = lambda done, total, what: None
        self.selection_folder: Path | None = None
        self.selected: Selected | None = None
        self._data: dict[str, Callable[[], Any]] = {}

    # --- what a method may override ---

    def relaxation_for(self) -> Relaxation:
        """The relaxation of this method, built from its settings."""
        return Softmax()

    def cell_factory(self) -> Callable[..., SupernetCell]:
        """The supernet cell's implementation: (graph, edges, group) -> SupernetCell."""
        return SupernetCell if self.settings.supernet == "plain" else fused_or_plain

    def prepare(self) -> None:
        """Called once the supernet is made: add to a group the parameters that are learnt beyond
        alpha. They are architecture parameters too: checkpoints hold them, alpha's optimiser
        trains them, and a frozen network has none of them.
        """

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Z of one forward pass. phase: "weights", "alpha" or "joint"."""
        return self.relaxation.draw(group, phase, generator)

    def weights_gradient(self, module: SearchModule, batch: dict[str, Any], batch_idx: int) -> None:
        """Leave the gradient of a bi-level step's training loss in the weights' .grad."""
        module.manual_backward(module.loss("weights", batch["train"], batch_idx))

    def regulariser(self) -> torch.Tensor | None:
        """A scalar to add to the loss that alpha descends; None for none."""
        return None

    def gradient_inputs(self) -> list[torch.Tensor]:
        """The tensors that a bi-level alpha step differentiates by: alpha itself, and the leaf Z of
        this step's draws where the relaxation is not pathwise.
        """
        leaves = [] if self.relaxation.pathwise else [draw.z for _, draw in self.draws()]
        return [*self.arch_parameters(), *leaves]

    def estimate_alpha_gradient(self) -> None:
        """After the backward pass: turn dL/dZ into alpha's gradient where autograd did not."""
        if self.relaxation.pathwise:
            return
        for group, draw in self.draws():
            cost = torch.zeros_like(draw.z) if draw.z.grad is None else draw.z.grad
            gradient = self.relaxation.alpha_gradient(group, draw, cost).detach()
            # what a regulariser has left there stays
            group.alpha.grad = gradient if group.alpha.grad is None else group.alpha.grad + gradient

    def alpha_gradient(self, module: SearchModule, batch: dict[str, Any], batch_idx: int) -> None:
        """Leave the bi-level gradient in alpha.grad. batch: {"train": .., "val": ..}; alpha
        descends on "val".
        """
        with module.constant_weights():
            loss = module.loss("alpha", batch["val"], batch_idx)
            module.manual_backward(loss, inputs=self.gradient_inputs())
        self.estimate_alpha_gradient()

    def after_alpha_step(self) -> None:
        """Called when alpha's optimiser has made its step; ``group.draw`` is still the step's."""

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Schedules: temperature, warm-up. epoch counts from 0 of ``epochs``."""

    def after_steps(self, module: SearchModule, epoch: int) -> None:
        """Work between epochs: called after the last step, before monitors read the epoch."""

    def on_epoch_end(self, epoch: int) -> bool:
        """Return True to stop the search after this epoch."""
        return False

    def program(self) -> Hashable | None:
        """What the launches of a gradient depend on beside the batch, None where they change from
        step to step: operations or numbers drawn on the host, host numbers that move. A CUDA graph
        repeats its launches and all host numbers in them.
        """
        return () if self.relaxation.deterministic else None

    def search_state(self) -> dict[str, Any]:
        """What a resumed search must know beyond weights, alphas and optimisers; tensors and plain
        values.
        """
        return {}

    def load_search_state(self, state: dict[str, Any]) -> None:
        """Take up what ``search_state`` gave."""

    def select(self, group: EdgeGroup) -> list[int]:
        """The operation (column of alpha) of every edge of the cell derived now."""
        return self.selection.read(group, self.relaxation.probabilities(group))

    def sample_cells(self, generator: torch.Generator) -> Cells:
        """One cell a group, drawn from p(alpha): an operation (column of alpha) for every edge."""
        return {
            group.name: torch.multinomial(
                self.relaxation.probabilities(group).detach().cpu(), 1, generator=generator
            )
            .flatten()
            .tolist()
            for group in self.groups
        }

    # --- the frame ---

    def arch_parameters(self) -> list[nn.Parameter]:
        """Architecture parameters, group by group in order of appearance; rows by label. Then those
        of the modules that users' mutation hooks made.
        """
        ours = [parameter for group in self.groups for parameter in group.parameters()]
        return [*ours, *self._hooked]

    def draws(self) -> list[tuple[EdgeGroup, Draw]]:
        """The groups with their draw of the last forward pass."""
        return [(group, group.draw) for group in self.groups if group.draw is not None]

    def alpha_moves_in(self, epoch: int) -> bool:
        """Whether alpha is trained in this epoch."""
        return self.moves_alpha and epoch >= self.settings.warmup_epochs

    def default_mutation_hooks(self) -> list[MutationHook]:
        """Cells and lone LayerChoices become supernet cells; any other choice is refused."""
        self._builder = SupernetBuilder(self.cell_factory())
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
        self._check_cells(model)
        for group in self.groups:
            group.initialise(self.settings.alpha_init, mean=self.settings.alpha_init_mean)
        cast(ModelSpace, model).edge_groups = EdgeGroups(self.groups)
        self._hooked = hooked_parameters(model)
        self.prepare()
        return model

    def _check_cells(self, model: nn.Module) -> None:
        settings = self.settings
        if (settings.supernet == "fused" or settings.compile) and not all_fused(model):
            option = "supernet: fused" if settings.supernet == "fused" else "compile: true"
            raise ConfigError(
                f"strategy {self.name}: {option} is for fused cells, which this space, method or "
                "setting does not give; allowed: supernet: auto or plain, compile: false"
            )
        if settings.compile:
            compile_cells(model)
        self._check_graphs(draws=any(isinstance(m, Noise) for m in model.modules()))

    def _check_graphs(self, draws: bool) -> None:
        if self.settings.cuda_graphs and draws:
            raise ConfigError(
                f"strategy {self.name}: cuda_graphs: true needs steps that are all alike, but this "
                "method, setting or space draws operations or numbers at every step; allowed: false"
            )

    def configure_oneshot_module(
        self, training_module: LightningModule
    ) -> BaseOneShotLightningModule:
        """The Lightning module that runs the loop."""
        return SearchModule(training_module, self)

    def train_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """{"train": .., "val": ..} for bi-level search, {"train": ..} for single-level search and
        where alpha does not move.
        """
        self._data = {"train": train_dataloader_fn, "val": val_dataloader_fn}
        if self.settings.optimisation == "single_level" or not self.moves_alpha:
            return {"train": train_dataloader_fn()}
        return {"train": train_dataloader_fn(), "val": val_dataloader_fn()}

    def val_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """None: the search half is spent on alpha."""
        return None

    # --- the end of a search ---

    def evaluation_batches(self) -> Iterable[Any]:
        """(images, labels) batches to evaluate the supernet on."""
        return self._data["val"]() if self.evaluation_data is None else self.evaluation_data

    def select_at_end(self, module: SearchModule) -> None:
        """Run a selection that needs the trained supernet; the result is ``selected``."""
        if self.selection.at_end:
            context = SelectionContext(
                module,
                evaluation=self.evaluation_batches(),
                train=self._data["train"](),
                search=self._data["val"](),
                progress=self.selection_progress,
                folder=self.selection_folder,
            )
            self.selected = self.selection.select(context)

    def chosen(self, group: EdgeGroup) -> list[int]:
        """The cell to hand over: the final selection's where there was one, else ``select``'s."""
        return self.select(group) if self.selected is None else self.selected.cells[group.name]
