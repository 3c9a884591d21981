"""SmoothDARTS: theta is trained under a perturbed Z, by chance (RS) or by an adversary (ADV)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.relaxations.perturbed import PerturbedSoftmax


class SmoothDartsSettings(StrategySettings):
    """epsilon_start, epsilon_end: radius of the perturbation of Z in the first epoch and after the
    last, linear in between.
    """

    update_order: UpdateOrder = "alpha_first"
    epsilon_start: float = Field(default=0.03, ge=0, le=1)
    epsilon_end: float = Field(default=0.3, ge=0, le=1)

    @model_validator(mode="after")
    def _needs_two_levels(self) -> SmoothDartsSettings:
        if self.optimisation == "single_level":
            raise ValueError(
                "only theta's level is perturbed and alpha's is not (eq. 4 of the paper), "
                "so the method needs optimisation bi_level"
            )
        return self


class SmoothDartsRS(WiringStrategy):
    """SDARTS-RS (Chen & Hsieh, ICML 2020): theta descends the loss under Z = softmax(alpha) +
    U(-eps, eps), alpha that under softmax(alpha).

    Defaults are those of the authors' runs on NAS-Bench-201 (theory page, section 6), which track
    batch norm statistics.
    """

    name: ClassVar[str] = "sdarts_rs"
    paper: ClassVar[str] = "Chen & Hsieh, ICML 2020, arXiv 2002.05283"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=100, weight_decay=3e-4, nesterov=False)
    Settings: ClassVar[type[SmoothDartsSettings]] = SmoothDartsSettings
    settings: SmoothDartsSettings
    relaxation: PerturbedSoftmax

    def relaxation_for(self) -> PerturbedSoftmax:
        """softmax(alpha), perturbed in the weights' steps."""
        return PerturbedSoftmax(self.settings.epsilon_start)

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """The radius of this epoch."""
        start, end = self.settings.epsilon_start, self.settings.epsilon_end
        self.relaxation.epsilon = start + (end - start) * epoch / epochs


class AdversarialSettings(SmoothDartsSettings):
    """attack_steps: steps of projected gradient ascent, of size 2 epsilon / attack_steps each."""

    attack_steps: int = Field(default=7, ge=1)


class SmoothDartsADV(SmoothDartsRS):
    """SDARTS-ADV (Chen & Hsieh, ICML 2020): as SDARTS-RS, but Z is the worst of its ball for the
    training batch, sought by projected gradient ascent from a random point.
    """

    name: ClassVar[str] = "sdarts_adv"
    Settings: ClassVar[type[SmoothDartsSettings]] = AdversarialSettings
    settings: AdversarialSettings

    def weights_gradient(self, module: SearchModule, batch: dict[str, Any], batch_idx: int) -> None:
        """Attack, then descend under the attacked Z."""
        self.attack(module, batch["train"], batch_idx)
        try:
            super().weights_gradient(module, batch, batch_idx)
        finally:
            self.relaxation.attack = {}

    def attack(self, module: SearchModule, data: Any, batch_idx: int) -> None:
        """Leave the worst Z found in ``relaxation.attack``. Weights and alphas get no gradient;
        batch norm statistics stay (evaluation mode, as in the authors' code).
        """
        found = self.relaxation.attack
        for group in self.groups:
            found[group.name] = self.relaxation.random_point(group, module.generator)
        step = 2 * self.relaxation.epsilon / self.settings.attack_steps
        training = module.model.training
        module.model.eval()
        try:
            for _ in range(self.settings.attack_steps):
                for point in found.values():
                    point.requires_grad_()
                loss = module.loss("weights", data, batch_idx, record=False)
                leaves = [draw.z for _, draw in self.draws()]
                # a cell with a dead output does not depend on its Z: the point stays
                gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
                for group, leaf, gradient in zip(self.groups, leaves, gradients, strict=True):
                    direction = 0.0 if gradient is None else gradient.sign()
                    moved = leaf.detach() + step * direction
                    found[group.name] = self.relaxation.projected(moved, group)
        finally:
            module.model.train(training)
