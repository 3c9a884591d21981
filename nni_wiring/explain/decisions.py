"""A search's decision on each edge: since when, by what margin, and with what confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nni_wiring.explain.cost_gap import CostGap, cheapest, cost_gap, cost_phase
from nni_wiring.records import EpochRecord

#: fixed: the edge had one operation. unmoved: alpha never changed. clear: the local cost took the
#: winner's side. tie: the cost difference lies within its uncertainty, or the alphas are equal.
#: opposed: the runner-up's cost was the lower one. unknown: no cost to judge by.
Verdict = Literal["fixed", "unmoved", "clear", "tie", "opposed", "unknown"]

CONFIDENCE = 0.95  # two-sided; a difference whose interval holds 0 is a tie


@dataclass(frozen=True)
class EdgeDecision:
    """The statement of alpha and of the local cost on one edge.

    Attributes:
        winner, runner_up: the operations with the largest and the second largest alpha in the
            last epoch; no runner-up where the edge has one operation.
        since: the epoch from which on the winner leads in every record.
        last: the last epoch that tells the edge's alphas.
        margin: alpha of the winner minus that of the runner-up, in the last epoch.
        share, runner_up_share: their p(alpha) there, where recorded.
        phase: the step that the costs are from, "alpha" or "weights".
        at_decision: their costs in epoch `since`; overall: over all epochs up to the last.
        cheapest: the operation with the lowest cost in epoch `since`.
        offered: the operations that the edge could have.
        verdict: on `overall`, see :data:`Verdict`.
    """

    winner: str
    runner_up: str | None
    since: int
    last: int
    margin: float | None
    share: float | None
    runner_up_share: float | None
    phase: str | None
    at_decision: CostGap | None
    overall: CostGap | None
    cheapest: str | None
    offered: tuple[str, ...]
    verdict: Verdict


def edge_decisions(records: Sequence[EpochRecord]) -> dict[str, EdgeDecision]:
    """The decision of every edge whose alphas are recorded, in the order of the records."""
    edges = dict.fromkeys(edge for record in records for edge in record.alpha)
    found = {edge: _decision(records, edge) for edge in edges}
    return {edge: decision for edge, decision in found.items() if decision is not None}


def _decision(records: Sequence[EpochRecord], edge: str) -> EdgeDecision | None:
    told = [record for record in records if _known(record.alpha.get(edge))]
    if not told:
        return None
    rows = [_known(record.alpha.get(edge)) for record in told]
    order = sorted(rows[-1], key=rows[-1].__getitem__, reverse=True)
    winner, runner_up = order[0], order[1] if len(order) > 1 else None
    start = _first_of_streak([_leader(row) for row in rows])
    phase = cost_phase(told, edge)
    at_decision = overall = None
    if runner_up is not None and phase is not None:
        at_decision = cost_gap(told[start : start + 1], edge, winner, runner_up, phase)
        overall = cost_gap(told, edge, winner, runner_up, phase)
    shares = told[-1].z.get(edge, {})
    margin = None if runner_up is None else rows[-1][winner] - rows[-1][runner_up]
    moved = len(rows) == 1 or any(row != rows[0] for row in rows)
    return EdgeDecision(
        winner=winner,
        runner_up=runner_up,
        since=told[start].epoch,
        last=told[-1].epoch,
        margin=margin,
        share=shares.get(winner),
        runner_up_share=None if runner_up is None else shares.get(runner_up),
        phase=phase,
        at_decision=at_decision,
        overall=overall,
        cheapest=None if phase is None else cheapest(told[start], edge, phase),
        offered=tuple(rows[-1]),
        verdict=_verdict(margin, moved, overall),
    )


def _known(row: Mapping[str, float | None] | None) -> dict[str, float]:
    return {name: value for name, value in (row or {}).items() if value is not None}


def _leader(row: Mapping[str, float]) -> str:
    """The operation of the largest alpha; the first of equal ones."""
    return max(row, key=row.__getitem__)


def _first_of_streak(leaders: Sequence[str]) -> int:
    """The place from which on all are equal to the last."""
    start = len(leaders) - 1
    while start and leaders[start - 1] == leaders[-1]:
        start -= 1
    return start


def _verdict(margin: float | None, moved: bool, overall: CostGap | None) -> Verdict:
    if margin is None:
        return "fixed"
    if not moved:
        return "unmoved"
    if margin == 0:
        return "tie"
    if overall is None or overall.confidence is None:
        return "unknown"
    tail = (1 - CONFIDENCE) / 2
    if overall.confidence >= 1 - tail:
        return "clear"
    return "opposed" if overall.confidence <= tail else "tie"
