"""SGAS: edges are decided one after another during the search."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations.decided import DecidedSoftmax

_DECIDED = "every edge is decided during the search, so nothing is left to choose at its end"


class SGASSettings(StrategySettings):
    """criterion: 1 (edge importance x selection certainty) or 2 (x selection stability, over the
    last ``history`` epochs).

    decision_warmup, decision_interval, decision_rest: epochs before the first decision, between
    two, and after the last, in a search of warmup + interval (edges - 1) + rest epochs, which for
    NAS-Bench-201 is the default 40; a search of another length scales them.
    """

    update_order: UpdateOrder = "alpha_first"
    selection: str = "magnitude_without_none"
    criterion: Literal[1, 2] = 1
    history: int = Field(default=4, ge=1)
    decision_warmup: int = Field(default=9, ge=0)
    decision_interval: int = Field(default=5, ge=1)
    decision_rest: int = Field(default=6, ge=1)
    refused_selections = {"supernet_ranking": _DECIDED, "perturbation": _DECIDED}


class SGAS(WiringStrategy):
    """SGAS (Li et al., CVPR 2020): DARTS that decides, every few epochs, the edge of the highest
    score by its largest operation; a decided edge is one-hot from then on.

    Defaults: the authors' code for CIFAR-10 (warm-up 9, every 5 epochs, 5 more at the end, none not
    chosen, criterion 1; its growing batch size is left out), with DARTS' training, its
    weight decay 3e-4.
    """

    name: ClassVar[str] = "sgas"
    paper: ClassVar[str] = "Li et al., CVPR 2020, arXiv 1912.00195"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=40, weight_decay=3e-4, nesterov=False)
    Settings = SGASSettings
    settings: SGASSettings
    relaxation: DecidedSoftmax

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._epochs = 1
        self._history: dict[str, list[torch.Tensor]] = {}

    def relaxation_for(self) -> DecidedSoftmax:
        """Softmax with decided edges."""
        return DecidedSoftmax()

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Fix the schedule's scale."""
        self._epochs = epochs

    def due(self, edges: int, epoch: int) -> int:
        """How many of a group's edges are to be decided by the end of this epoch."""
        s = self.settings
        whole = s.decision_warmup + s.decision_interval * (edges - 1) + s.decision_rest
        times = [s.decision_warmup + s.decision_interval * i for i in range(edges)]
        return sum(time * self._epochs // whole <= epoch for time in times)

    def after_steps(self, module: SearchModule, epoch: int) -> None:
        """Decide the edges that are due; remember the distributions."""
        for group in self.groups:
            decided = self.relaxation.decided.setdefault(group.name, {})
            distributions = chosen_distributions(group)
            history = self._history.setdefault(group.name, [])
            scores = edge_scores(group, history if self.settings.criterion == 2 else None).tolist()
            best = self.selection.read(group, torch.softmax(group.logits(), dim=-1))
            while len(decided) < self.due(len(group.edges), epoch):
                edge = max(set(range(len(scores))) - set(decided), key=lambda e: (scores[e], -e))
                decided[edge] = best[edge]
            history.append(distributions)
            del history[: -self.settings.history]

    def program(self) -> Hashable:
        """The decided edges: they run one operation."""
        return tuple((name, *edges.items()) for name, edges in self.relaxation.decided.items())

    def search_state(self) -> dict[str, Any]:
        """The decided edges and the distributions of the last epochs."""
        decided = {name: dict(edges) for name, edges in self.relaxation.decided.items()}
        return {"decided": decided, "history": {n: list(h) for n, h in self._history.items()}}

    def load_search_state(self, state: dict[str, Any]) -> None:
        """See ``search_state``."""
        self.relaxation.decided = {name: dict(edges) for name, edges in state["decided"].items()}
        self._history = {name: list(history) for name, history in state["history"].items()}


def chosen_distributions(group: EdgeGroup) -> torch.Tensor:
    """softmax(alpha) without ``none``, rows rescaled to sum to 1 (0 where an edge has only none);
    (edges, operations), on the host.
    """
    p = torch.softmax(group.logits(), dim=-1).detach().cpu()
    if "none" in group.operations:
        p[:, group.operations.index("none")] = 0.0
    return p / p.sum(dim=-1, keepdim=True).clamp_min(1e-12)


def edge_scores(group: EdgeGroup, history: list[torch.Tensor] | None) -> torch.Tensor:
    """The score of every edge, (edges,): normalised importance (1 - p(none)) x certainty (1 -
    entropy of the others / its maximum), and x stability (mean overlap with the ``history`` of
    distributions) unless that is None (paper, eqs. 4-7).
    """
    q = chosen_distributions(group)
    p = torch.softmax(group.logits(), dim=-1).detach().cpu()
    none = group.operations.index("none") if "none" in group.operations else None
    importance = 1 - p[:, none] if none is not None else torch.ones(len(q))
    entropy = -torch.special.xlogy(q, q).sum(dim=-1)
    choices = [len([k for k in allowed if k != none]) for allowed in group.allowed]
    largest = torch.tensor([math.log(max(n, 2)) for n in choices])
    score = _normalised(importance) * _normalised(1 - entropy / largest)
    if history is None:
        return score
    if not history:
        return torch.zeros_like(score)
    overlaps = [torch.minimum(q, past).sum(dim=-1) for past in history]
    return score * _normalised(torch.stack(overlaps).mean(dim=0))


def _normalised(values: torch.Tensor) -> torch.Tensor:
    """Scaled to 0 .. 1 over the edges; zeros where all are equal (as in the authors' code)."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread > 0 else torch.zeros_like(values)
