"""ProxylessNAS: binary gates, two paths in the alpha step."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.score import Score
from nni_wiring.strategies.settings import StrategySettings
from nni_wiring.supernet.relaxations import BinaryGates


class ProxylessSettings(StrategySettings):
    """Alpha as in the authors' code: Adam 1e-3 (0, .999) without weight decay, so that an operation
    that was not sampled stays where it is.
    """

    alpha_lr: float = Field(default=1e-3, ge=0)
    alpha_betas: tuple[float, float] = (0.0, 0.999)
    alpha_weight_decay: float = Field(default=0.0, ge=0)


class GatesUpdate(Score):
    """The gates' gradient, and the authors' correction of the step that it leads to."""

    relaxation: BinaryGates

    def estimate(self) -> None:
        """Also keep alpha as it is before the step."""
        super().estimate()
        self._before = [group.alpha.detach().clone() for group in self.groups]

    def after_step(self) -> None:
        """Shift both sampled alphas so that their paths weigh together what they weighed before:
        the other paths' probabilities stay (section 3.2.1).
        """
        for group, before in zip(self.groups, self._before, strict=True):
            if group.draw is None:
                continue
            now = self.relaxation.running_logits(group, group.draw)
            runs = now.isfinite()
            share = torch.logsumexp(before.masked_fill(~runs, -torch.inf), -1, keepdim=True)
            shift = share - torch.logsumexp(now, -1, keepdim=True)
            with torch.no_grad():
                group.alpha.add_(runs * shift)


class ProxylessNAS(WiringStrategy):
    """ProxylessNAS (Cai, Zhu & Han, ICLR 2019): one path an edge trains theta, two sampled paths
    move alpha against each other. The exported cell is the argmax of alpha, never a sample.

    Defaults: alpha's optimiser and initialisation are the authors' (search/imagenet_arch_search.py
    of mit-han-lab/proxylessnas); theta's training is the NAS-Bench-201 protocol (theory page,
    section 6, first row), as the paper has no run on that space. The latency loss and the authors'
    five weight steps an alpha step are left out.
    """

    name: ClassVar[str] = "proxylessnas"
    paper: ClassVar[str] = "Cai et al., ICLR 2019, arXiv 1812.00332"
    Settings = ProxylessSettings
    settings: ProxylessSettings

    def declare(self) -> Parts:
        """Binary gates and their gradient."""
        relaxation = BinaryGates()
        return Parts(relaxation, alpha=GatesUpdate(relaxation))
