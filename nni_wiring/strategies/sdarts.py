"""SmoothDARTS: theta is trained under a perturbed Z, by chance (RS) or by an adversary (ADV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from pydantic import Field, model_validator

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import Part, WeightsUpdate
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.relaxations.perturbed import PerturbedSoftmax


class SmoothDartsSettings(StrategySettings):
    """epsilon_start: radius of the perturbation of Z in the first epoch. epsilon_end: radius after
    the last epoch, linear in between.
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


class Radius(Part):
    """The radius of the perturbation: ``start`` in the first epoch, ``end`` after the last, linear
    in between.
    """

    def __init__(self, relaxation: PerturbedSoftmax, start: float, end: float) -> None:
        self.relaxation, self.start, self.end = relaxation, start, end

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """The radius of this epoch."""
        self.relaxation.epsilon = self.start + (self.end - self.start) * epoch / epochs


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

    def declare(self) -> Parts:
        """softmax(alpha), perturbed in the weights' steps, ever further."""
        s = self.settings
        relaxation = PerturbedSoftmax(s.epsilon_start)
        return Parts(relaxation, schedules=(Radius(relaxation, s.epsilon_start, s.epsilon_end),))


class AdversarialSettings(SmoothDartsSettings):
    """attack_steps: steps of projected gradient ascent, of size 2 epsilon / attack_steps each."""

    attack_steps: int = Field(default=7, ge=1)


class Adversary(WeightsUpdate):
    """Theta descends under the worst Z of the ball that projected gradient ascent comes by, the
    centre and the random start included (the authors' code: the last one, or the centre where that
    is worse).

    steps: of the ascent, of size 2 epsilon / steps each.
    """

    needs_two_levels: ClassVar[bool] = True

    def __init__(self, relaxation: PerturbedSoftmax, steps: int) -> None:
        self.relaxation, self.steps = relaxation, steps

    def gradient(self, loop: Loop, batch: dict[str, Any], batch_idx: int) -> None:
        """Attack, then descend under the attacked Z."""
        self.attack(loop, batch["train"], batch_idx)
        try:
            super().gradient(loop, batch, batch_idx)
        finally:
            self.relaxation.attack = {}

    def attack(self, loop: Loop, data: Any, batch_idx: int) -> None:
        """Leave the worst Z found in ``relaxation.attack``. Weights and alphas get no gradient;
        batch norm statistics stay (evaluation mode, as in the authors' code).
        """
        training = loop.model.training
        loop.model.eval()
        try:
            worst = self._ascend(loop, lambda: self._loss(loop, data, batch_idx))
        finally:
            loop.model.train(training)
        self.relaxation.attack = worst.points

    def _ascend(self, loop: Loop, loss_of: Callable[[], torch.Tensor]) -> _Worst:
        """The worst of softmax(alpha), a random start, and every step of the ascent from there."""
        found = self.relaxation.attack
        centres = {g.name: self.relaxation.probabilities(g).detach() for g in self.groups}
        found.update(centres)
        with torch.no_grad():
            worst = _Worst(dict(centres), loss_of())
        for group in self.groups:
            found[group.name] = self.relaxation.random_point(group, loop.generator)
        step = 2 * self.relaxation.epsilon / self.steps
        for _ in range(self.steps):
            for point in found.values():
                point.requires_grad_()
            loss = loss_of()
            worst = worst.against(found, loss)
            leaves = [group.draw.z for group in self.groups if group.draw is not None]
            # a cell with a dead output does not depend on its Z: the point stays
            gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
            for group, leaf, gradient in zip(self.groups, leaves, gradients, strict=True):
                direction = 0.0 if gradient is None else gradient.sign()
                moved = leaf.detach() + step * direction
                found[group.name] = self.relaxation.projected(moved, group)
        with torch.no_grad():
            return worst.against(found, loss_of())

    def _loss(self, loop: Loop, data: Any, batch_idx: int) -> torch.Tensor:
        return loop.loss("weights", data, batch_idx, record=False)


class _Worst(NamedTuple):
    """Z of every group, under which the loss was largest so far. All stays on the device."""

    points: dict[str, torch.Tensor]
    loss: torch.Tensor

    def against(self, points: dict[str, torch.Tensor], loss: torch.Tensor) -> _Worst:
        """The worse of this and other points."""
        worse = loss.detach() > self.loss
        kept = {
            name: torch.where(worse, points[name].detach(), z) for name, z in self.points.items()
        }
        return _Worst(kept, torch.where(worse, loss.detach(), self.loss))


class SmoothDartsADV(SmoothDartsRS):
    """SDARTS-ADV (Chen & Hsieh, ICML 2020): as SDARTS-RS, but Z is the worst of its ball for the
    training batch that projected gradient ascent from a random point comes by.
    """

    name: ClassVar[str] = "sdarts_adv"
    Settings: ClassVar[type[SmoothDartsSettings]] = AdversarialSettings
    settings: AdversarialSettings

    def declare(self) -> Parts:
        """SDARTS-RS' parts, and the adversary."""
        parts = super().declare()
        relaxation = cast(PerturbedSoftmax, parts.relaxation)
        return replace(parts, weights=Adversary(relaxation, self.settings.attack_steps))
