"""Edges decided one after another during a search (SGAS), for any relaxation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import Part
from nni_wiring.supernet.edge_group import EdgeGroup
from search_spaces.genotypes import DARTS_GRAPH

#: (group, p(alpha)) -> a column of alpha for every edge.
Read = Callable[[EdgeGroup, torch.Tensor], list[int]]


class DecisionTimes(NamedTuple):
    """warmup, interval, rest: epochs before the first decision, between two, and after the last, in
    a search of warmup + interval (decisions - 1) + rest epochs; another length scales them.
    """

    warmup: int
    interval: int
    rest: int

    def due(self, decisions: int, epoch: int, epochs: int) -> int:
        """The number of ``decisions`` to be taken by the end of an epoch, counted from 0."""
        whole = self.warmup + self.interval * (decisions - 1) + self.rest
        times = [self.warmup + self.interval * i for i in range(decisions)]
        return sum(time * epochs // whole <= epoch for time in times)


class EdgeDecisions(Part):
    """Decides, when it is due, the edge of the highest score by what ``read`` says; the relaxation
    must be ``Decided``, or what is shown of p(alpha) does not know of it. A node of a DARTS cell
    loses its other edges once two are decided: eight decisions a cell (the authors' code).

    history: the epochs over which the stability of an edge's distribution counts; 0: it does not.
    """

    def __init__(self, read: Read, times: DecisionTimes, history: int = 0) -> None:
        self.read, self.times, self.history = read, times, history
        self._epochs = 1
        self._past: dict[str, list[torch.Tensor]] = {}

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Fix the schedule's scale."""
        self._epochs = epochs

    def after_steps(self, loop: Loop, epoch: int) -> None:
        """Decide the edges that are due; remember the distributions."""
        for group in self.groups:
            past = self._past.setdefault(group.name, [])
            scores = edge_scores(group, past if self.history else None).tolist()
            best = self.read(group, torch.softmax(group.logits(), dim=-1))
            decided = group.decisions
            while len(decided.chosen) < self.times.due(decisions(group), epoch, self._epochs):
                left = set(range(len(scores))) - set(decided.rows())
                edge = max(left, key=lambda e: (scores[e], -e))
                decided.chosen[edge] = best[edge]
                _drop_others(group, edge)
            if self.history:
                past.append(chosen_distributions(group))
                del past[: -self.history]

    def state(self) -> dict[str, Any]:
        """The distributions of the last epochs."""
        return {"past": {name: list(rows) for name, rows in self._past.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """See ``state``."""
        self._past = {name: list(rows) for name, rows in state["past"].items()}


def decisions(group: EdgeGroup) -> int:
    """The number of edges of a group that are decided: all, but two per node in DARTS' cells."""
    if group.graph != DARTS_GRAPH:
        return len(group.edges)
    return sum(min(2, len(DARTS_GRAPH.edges_into(n))) for n in DARTS_GRAPH.intermediate_nodes)


def _drop_others(group: EdgeGroup, edge: int) -> None:
    """Drop the open edges into a DARTS cell's node, that of ``edge``, if two are decided."""
    if group.graph != DARTS_GRAPH:
        return
    into = DARTS_GRAPH.edges_into(DARTS_GRAPH.edges[edge][1])
    chosen = group.decisions.chosen
    if sum(e in chosen for e in into) >= 2:
        group.decisions.dropped += [e for e in into if e not in chosen]


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
    distributions) unless that is None (paper, eqs. 4-7). Where no edge has ``none`` all are as
    important, and the other factors decide.
    """
    q = chosen_distributions(group)
    p = torch.softmax(group.logits(), dim=-1).detach().cpu()
    none = group.operations.index("none") if "none" in group.operations else None
    importance = torch.ones(len(q)) if none is None else _normalised(1 - p[:, none])
    entropy = -torch.special.xlogy(q, q).sum(dim=-1)
    choices = [len([k for k in allowed if k != none]) for allowed in group.allowed]
    largest = torch.tensor([math.log(max(n, 2)) for n in choices])
    score = importance * _normalised(1 - entropy / largest)
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
