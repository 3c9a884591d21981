"""SGAS: edges are decided one after another during the search."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.edge_decisions import DecisionTimes, EdgeDecisions
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.relaxations import Decided, Softmax

_DECIDED = "every edge is decided during the search, so nothing is left to choose at its end"


class SGASSettings(StrategySettings):
    """criterion: 1 (edge importance x selection certainty) or 2 (x selection stability, over the
    last ``history`` epochs). history: epochs that the selection stability looks back on.

    decision_warmup: epochs before the first decision. decision_interval: epochs between two
    decisions. decision_rest: epochs after the last decision.

    That is a search of warmup + interval (decisions - 1) + rest epochs, the default 40 for
    NAS-Bench-201's six edges and the authors' 50 for the eight that DARTS' cells keep; a search of
    another length scales them.
    """

    update_order: UpdateOrder = "alpha_first"
    selection: str = "magnitude_without_none"
    criterion: Literal[1, 2] = 1
    history: int = Field(default=4, ge=1)
    decision_warmup: int = Field(default=9, ge=0)
    decision_interval: int = Field(default=5, ge=1)
    decision_rest: int = Field(default=6, ge=1)
    refused_selections = dict.fromkeys(
        ("supernet_ranking", "supernet_evolution", "perturbation"), _DECIDED
    )


class SGAS(WiringStrategy):
    """SGAS (Li et al., CVPR 2020): DARTS that decides, every few epochs, the edge of the highest
    score by its largest operation; a decided edge is one-hot from then on. In DARTS' cells a node
    keeps the first two that are decided.

    Defaults: the authors' code for CIFAR-10 (warm-up 9, every 5 epochs, 5 more at the end, none not
    chosen, criterion 1; its growing batch size is left out), with DARTS' training, its
    weight decay 3e-4.
    """

    name: ClassVar[str] = "sgas"
    paper: ClassVar[str] = "Li et al., CVPR 2020, arXiv 1912.00195"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=40, weight_decay=3e-4, nesterov=False)
    Settings = SGASSettings
    settings: SGASSettings

    def declare(self) -> Parts:
        """Softmax with decided edges, and what decides them."""
        s = self.settings
        times = DecisionTimes(s.decision_warmup, s.decision_interval, s.decision_rest)
        history = s.history if s.criterion == 2 else 0
        return Parts(
            Decided(Softmax()),
            schedules=(EdgeDecisions(self.selection.read, times, history),),
        )
