"""SearchModule: the one training loop that all strategies run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import nn

from nni_wiring.strategies.engine.gradient_graphs import GradientGraphs, StepListener, recorder_for
from nni_wiring.strategies.engine.method import Method
from nni_wiring.strategies.engine.optimizers import alpha_adam, exclude, pick, state_of
from nni_wiring.strategies.engine.processes import check_processes
from nni_wiring.strategies.engine.resuming import load_search, save_search
from nni_wiring.strategies.engine.view import SearchView
from nni_wiring.supernet.hooks import hooked_modules
from search_spaces.nni_api import BaseOneShotLightningModule, LightningModule, OptimizerLRScheduler

#: (module, batch, batch_idx): leaves a gradient in ``.grad``.
GradientOf = Callable[["SearchModule", dict[str, Any], int], None]


class SearchModule(SearchView, BaseOneShotLightningModule):
    """Runs weight steps and alpha steps; everything that a method may change is asked of its
    strategy and the strategy's parts. To parts it is a ``Loop``, to selections a ``Searched``.

    phase: "weights", "alpha" or "joint" (single level) while a recorded forward pass of that step
    runs, else None; data: what that pass is run on; monitors read both. listeners: who takes notes
    during a step. gradient_norms: the norm of the last gradient of theta
    ("weights") and alpha ("alpha"), before clipping, as tensors on the device. tuning: optimisers
    (of alpha: True, of theta: False) in the place of the trainer's, for steps after the search.
    """

    def __init__(self, training_module: LightningModule, strategy: Method) -> None:
        super().__init__(training_module)
        self.strategy = strategy
        self.phase: str | None = None
        self.data: Any = None
        self.listeners: list[StepListener] = []
        self._graphs: GradientGraphs | None = None
        self.gradient_norms: dict[str, torch.Tensor] = {}
        self.tuning: dict[bool, torch.optim.Optimizer] = {}
        self._alpha_state: dict[str, Any] | None = None
        self.generator = torch.Generator()
        self.generator.manual_seed(torch.initial_seed() % 2**63)

    # --- optimisers ---

    def weight_parameters(self) -> list[nn.Parameter]:
        """Parameters of the training module, the supernet's among them, other than alphas."""
        architecture = {id(parameter) for parameter in self.arch_parameters()}
        return [p for p in self.training_module.parameters() if id(p) not in architecture]

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer | None:
        """Adam on alpha; None where alpha does not move (its requires_grad is then off)."""
        for parameter in self.arch_parameters():
            parameter.requires_grad_(self.strategy.moves_alpha)
        if not self.strategy.moves_alpha:
            return None
        return alpha_adam(self.arch_parameters(), self.strategy.settings)

    def alpha_state(self) -> dict[str, Any] | None:
        """The state of alpha's optimiser at the end of the search (its moments); None where alpha
        did not move, or nothing is known of it.
        """
        if self._trainer is None or not self.strategy.moves_alpha:
            return self._alpha_state
        optimizer = pick(self.optimizers(), architecture=True)
        return getattr(optimizer, "optimizer", optimizer).state_dict()

    def postprocess_weight_optimizers(self, optimizers: Any) -> Any:
        """Take the architecture parameters out of theta's optimiser (the evaluator gave it all
        parameters).
        """
        return exclude(optimizers, self.arch_parameters())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Theta's optimiser from the evaluator, alpha's from the strategy."""
        if self.strategy.moves_alpha:
            return super().configure_optimizers()
        self.configure_architecture_optimizers()
        return self.postprocess_weight_optimizers(self.training_module.configure_optimizers())

    # --- the loop ---

    def on_train_epoch_start(self) -> None:
        """Tell the loaders and the strategy's schedules which epoch this is."""
        epoch = self.current_epoch
        for loader in getattr(self.trainer.fit_loop, "_combined_loader").flattened:  # noqa: B009
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(epoch)
        self.strategy.on_epoch_start(epoch, self.trainer.max_epochs or epoch + 1)
        super().on_train_epoch_start()

    def on_train_epoch_end(self) -> None:
        """Ask the stop rules."""
        if self.strategy.parts.should_stop(self.current_epoch):
            self.trainer.should_stop = True
        super().on_train_epoch_end()

    def on_fit_start(self) -> None:
        """Refuse several processes where alphas would part."""
        check_processes(self.strategy, self.trainer.world_size)
        super().on_fit_start()

    def on_train_start(self) -> None:
        """Everything is on its device now."""
        self._graphs = self._make_graphs()
        super().on_train_start()

    def on_train_end(self) -> None:
        """Run the selection that needs the trained supernet, while it is still on its device."""
        self.strategy.select_at_end(self)
        self._graphs = None  # with their memory on the device
        super().on_train_end()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """One search step: weights and alpha in turn (bi-level), or both from one backward pass
        (single-level).
        """
        parts, epoch = self.strategy.parts, self.current_epoch
        self.search_step(batch, batch_idx, parts.alpha.in_steps and parts.alpha_moves_in(epoch))
        self.advance_lr_schedulers(batch_idx)
        if self.trainer.is_last_batch:
            parts.after_steps(self, epoch)

    def search_step(self, batch: dict[str, Any], batch_idx: int, alpha_moves: bool) -> None:
        """The gradient steps of one batch; needs no trainer where ``tuning`` brings optimisers."""
        settings = self.strategy.settings
        if self.single_level:
            self._joint_step(batch, batch_idx, alpha_moves)
        else:
            if alpha_moves and settings.update_order == "alpha_first":
                self._alpha_step(batch, batch_idx)
            self._weights_step(batch, batch_idx)
            if alpha_moves and settings.update_order == "weights_first":
                self._alpha_step(batch, batch_idx)

    def manual_backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's, or plain autograd after the search, when no trainer is attached.

        A loss that nothing trainable enters (weights held constant, and a drawn cell whose output
        is dead) has no gradient: then nothing is done.
        """
        if not loss.requires_grad:
            return
        if self._trainer is None:
            loss.backward(*args, **kwargs)
        else:
            super().manual_backward(loss, *args, **kwargs)

    @cached_property
    def _weights(self) -> list[nn.Parameter]:
        """`weight_parameters`, for every step: finding them walks all modules."""
        return self.weight_parameters()

    @contextmanager
    def constant_weights(self) -> Iterator[None]:
        """Take the weights for constants, so that neither pass keeps or computes anything for
        their gradients.
        """
        moving = [p for p in self._weights if p.requires_grad]
        try:
            for parameter in moving:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in moving:
                parameter.requires_grad_(True)

    def loss(self, phase: str, data: Any, batch_idx: int, *, record: bool = True) -> torch.Tensor:
        """Draw Z, run the evaluator's training step on ``data`` and return its loss (a scalar).

        record: whether monitors may count this forward pass as one of ``phase``.
        """
        for group in self.groups:
            group.draw = self.strategy.draw(group, phase, self.generator)
        self.phase, self.data = (phase if record else None), data
        # autocast keeps low-precision copies of weights until the batch is over; steps move them
        torch.clear_autocast_cache()
        try:
            output = self.training_module.training_step(data, batch_idx)
        finally:
            self.phase = self.data = None
        loss = output["loss"] if isinstance(output, dict) else output
        extra = self.strategy.parts.regulariser() if phase != "weights" else None
        return loss if extra is None else loss + extra

    def _weights_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        optimizer, gradient = self.theta_optimizer(), self.strategy.parts.weights.gradient
        optimizer.zero_grad()
        self._gradient("weights", gradient, batch, batch_idx)
        self.clip_and_step("weights", optimizer, self.strategy.settings.clip)

    def _alpha_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        optimizer = self.alpha_optimizer()
        optimizer.zero_grad()
        self._gradient("alpha", self.strategy.parts.alpha.gradient, batch, batch_idx)
        self.clip_and_step("alpha", optimizer, self.strategy.settings.alpha_clip)
        self.strategy.parts.alpha.after_step()

    def _joint_step(self, batch: dict[str, Any], batch_idx: int, alpha_moves: bool) -> None:
        theta = self.theta_optimizer()
        theta.zero_grad()
        if not alpha_moves:
            self._gradient("joint", _joint_gradient, batch, batch_idx)
            self.clip_and_step("weights", theta, self.strategy.settings.clip)
            return
        alpha = self.alpha_optimizer()
        alpha.zero_grad()
        self._gradient("joint", _joint_gradient, batch, batch_idx)
        self.strategy.parts.alpha.estimate()
        self.clip_and_step("weights", theta, self.strategy.settings.clip)
        self.clip_and_step("alpha", alpha, self.strategy.settings.alpha_clip)
        self.strategy.parts.alpha.after_step()

    def _gradient(
        self, phase: str, compute: GradientOf, batch: dict[str, Any], batch_idx: int
    ) -> None:
        """Run ``compute``, through a CUDA graph where the settings ask for it."""
        if self._graphs is None:
            compute(self, batch, batch_idx)
            return
        decided = tuple((*group.decisions.rows().items(),) for group in self.groups)
        program = (self.strategy.parts.program(), decided)
        self._graphs.run(phase, program, lambda data: compute(self, data, batch_idx), batch)

    def _make_graphs(self) -> GradientGraphs | None:
        recorder = recorder_for(self.device) if self.strategy.settings.cuda_graphs else None
        if recorder is None:
            return None
        parameters, buffers = list(self.parameters()), list(self.buffers())
        return GradientGraphs(recorder, parameters, buffers, self.groups, self.listeners)

    def clip_and_step(self, kind: str, optimizer: Any, limit: float | None) -> None:
        """Note the gradient's norm under ``kind``, clip it to ``limit`` (None: not), step.

        Frozen weights (setting ``train_weights``) are left as they are, bit for bit.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.gradient_norms[kind] = nn.utils.clip_grad_norm_(
            parameters, float("inf") if limit is None else limit
        )
        if kind == "alpha" or self.strategy.settings.train_weights:
            optimizer.step()

    def theta_optimizer(self) -> Any:
        """The weights' optimiser, as Lightning wraps it."""
        return self._optimizer(architecture=False)

    def alpha_optimizer(self) -> Any:
        """The architecture parameters' optimiser, as Lightning wraps it."""
        return self._optimizer(architecture=True)

    def _optimizer(self, *, architecture: bool) -> Any:
        if self.tuning:
            return self.tuning[architecture]
        return pick(self.optimizers(), architecture=architecture)

    # --- resuming ---

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what only the search knows."""
        save_search(checkpoint, self.strategy, self.generator)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another space; go on with the draws where they stopped."""
        load_search(checkpoint, self.strategy, self.generator, self)
        states = checkpoint.get("optimizer_states", [])
        self._alpha_state = state_of(self.arch_parameters(), states)

    # --- results ---

    def export(self) -> dict[str, Any]:
        """The NNI sample, {label: candidate}, of the selected cell."""
        sample: dict[str, Any] = {}
        for group in self.groups:
            sample.update(group.sample(self.strategy.chosen(group)))
        for module in hooked_modules(self.model):
            sample.update(module.export(memo=sample))
        return sample

    def export_probs(self) -> dict[str, Any]:
        """p(alpha) of every edge: {label: {operation: probability}}."""
        result: dict[str, Any] = {}
        for group in self.groups:
            result.update(group.by_label(self.strategy.relaxation.probabilities(group)))
        for module in hooked_modules(self.model):
            result.update(module.export_probs(memo=result))
        return result


def _joint_gradient(module: SearchModule, batch: dict[str, Any], batch_idx: int) -> None:
    module.manual_backward(module.loss("joint", batch["train"], batch_idx))
