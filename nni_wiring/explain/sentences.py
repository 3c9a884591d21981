"""An explanation in plain sentences, worst edge first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nni_wiring.explain.cost_gap import CostGap
from nni_wiring.explain.decisions import EdgeDecision
from nni_wiring.explain.explanation import EdgeExplanation, Explanation
from nni_wiring.explain.over_runs import MeanShare
from nni_wiring.explain.repairs import Repair
from nni_wiring.explain.timeline import EpochStep, best_passed

_SHOWN = 0.005  # percent points; less is written as 0.00
_MOVES = 3


def sentences(found: Explanation) -> tuple[str, ...]:
    """One line for the cell, one or two per edge (worst first), then repairs, epochs and notes."""
    lines = [*_cell_lines(found)]
    for edge in found.worst_first:
        lines += _edge_lines(found, edge)
    lines += _repair_lines(found)
    lines += _epoch_lines(found.epochs)
    lines += [f"note: {note}" for note in found.notes]
    return tuple(map(_printable, lines))


def over_runs_sentences(shares: Sequence[MeanShare]) -> tuple[str, ...]:
    """One line an edge, the one that loses most on average first."""
    return tuple(map(_mean_sentence, sorted(shares, key=lambda share: -share.mean)))


def _cell_lines(found: Explanation) -> Iterator[str]:
    name = "cell" if found.run_id is None else f"run {found.run_id}"
    yield f"{name}: {found.arch or 'a cell without an arch string'}"
    if found.accuracy is None or found.regret is None or found.best is None:
        return
    where = f"{found.accuracy:.2f} % on {found.dataset} {found.split}"
    source = f"{found.benchmark} index {found.index}, table {found.table}"
    if found.index == found.best.index:
        yield f"{where} ({source}): the best cell."
    elif found.regret == 0:
        yield f"{where} ({source}): as good as the best cell, {found.best.arch}."
    else:
        yield (
            f"{where} ({source}): {found.regret:.2f} points below the best cell, "
            f"{found.best.accuracy:.2f} % (index {found.best.index}): {found.best.arch}"
        )


def _edge_lines(found: Explanation, edge: EdgeExplanation) -> Iterator[str]:
    decision = edge.decision
    name = edge.operation or (decision.winner if decision else "unknown")
    truth = _truth_sentence(found, edge)
    yield f"{edge.edge} {name}: {truth}" if truth else f"{edge.edge} {name}"
    if decision is not None:
        taken = edge.operation
        if taken is not None and taken != decision.winner:
            yield f"    The cell has {taken}, not the operation with the largest alpha."
        yield f"    {_decision_sentence(decision)}"


def _truth_sentence(found: Explanation, edge: EdgeExplanation) -> str:
    if edge.best_operation is None or found.accuracy is None:
        return ""
    return f"{_share_sentence(found, edge)} {_choices_sentence(found.accuracy, edge)}"


def _share_sentence(found: Explanation, edge: EdgeExplanation) -> str:
    if edge.operation == edge.best_operation:
        return "as in the best cell, costs nothing."
    there = f"the best cell has {edge.best_operation}."
    share = edge.shapley
    if share is None or found.regret is None:
        return there
    if abs(share) < _SHOWN:
        return f"costs nothing; {there}"
    if share < 0:
        return f"gives back {-share:.2f} points; {there}"
    return f"costs {share:.2f} of the {found.regret:.2f} points; {there}"


def _choices_sentence(accuracy: float, edge: EdgeExplanation) -> str:
    decision = edge.decision
    offered = None if decision is None else decision.offered
    others = {name: value for name, value in edge.choices.items() if name != edge.operation}
    parts = []
    for name, value in sorted(others.items(), key=_best_then_missing):
        reached = "missing" if value is None else f"{value:.2f} ({value - accuracy:+.2f})"
        beyond = "" if offered is None or name in offered else " (not in the run's space)"
        parts.append(f"{name}{beyond} {reached}")
    return f"All else equal: {', '.join(parts)}."


def _best_then_missing(choice: tuple[str, float | None]) -> tuple[bool, float]:
    _, value = choice
    return value is None, -(value or 0.0)


def _decision_sentence(decision: EdgeDecision) -> str:
    winner, runner_up = decision.winner, decision.runner_up
    if decision.verdict == "fixed":
        return "The space leaves this edge no choice."
    if decision.verdict == "unmoved":
        return "Alpha never moved: it decided nothing."
    start = f"{_since(decision)}: {winner} over {runner_up}{_margin(decision)}"
    overall, then = decision.overall, decision.at_decision
    if decision.verdict == "tie" and (overall is None or overall.confidence is None):
        return f"A tie: {winner} and {runner_up} have the same alpha."
    if overall is None:
        return f"{start}. No local cost is recorded to judge it by."
    if decision.verdict == "unknown":
        return f"{start}. Local cost {_costs(overall)}, without a known uncertainty."
    confidence = f"that it is lower: {_percent(overall.confidence)}"
    if decision.verdict == "tie":
        judged = f"A tie, within the uncertainty of its local cost (confidence {confidence})"
    elif decision.verdict == "clear":
        judged = f"Its local cost was lower than the runner-up's (confidence {confidence})"
    else:
        judged = f"Against its local cost, which was the higher (confidence {confidence})"
    return f"{judged}. {start}.{_at_decision(decision, then)}"


def _since(decision: EdgeDecision) -> str:
    if decision.since == decision.last and decision.last > 0:
        return f"Decided only in the last epoch, {decision.last}"
    return f"Decided in epoch {decision.since} (the last is {decision.last})"


def _margin(decision: EdgeDecision) -> str:
    share, other = decision.share, decision.runner_up_share
    if share is not None and other is not None:
        return f", Z {share:.4f} against {other:.4f}"
    return "" if decision.margin is None else f", alpha margin {decision.margin:.4g}"


def _at_decision(decision: EdgeDecision, then: CostGap | None) -> str:
    if then is None:
        return ""
    said = f" In epoch {decision.since} the costs were {_costs(then)}"
    if then.confidence is not None:
        said += f" (that the first is lower: {_percent(then.confidence)})"
    if decision.cheapest not in (None, decision.winner):
        said += f"; the lowest was that of {decision.cheapest}"
    return f"{said}."


def _costs(gap: CostGap) -> str:
    return f"{gap.winner:.3g} against {gap.runner_up:.3g}"


def _percent(share: float | None) -> str:
    if share is None:
        return "unknown"
    if share > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _repair_lines(found: Explanation) -> Iterator[str]:
    if found.accuracy is not None and not found.repairs and found.regret:
        yield "No change of one edge, or of two, makes the cell better."
    for repair in found.repairs:
        count = "one edge" if len(repair.changes) == 1 else "two edges"
        reached = f"{repair.accuracy:.2f} ({repair.gain:+.2f})"
        yield f"Best repair of {count}: {_changes(repair)}, {reached}."


def _changes(repair: Repair) -> str:
    return " and ".join(f"{name} on {edge}" for edge, name in repair.changes.items())


def _epoch_lines(steps: Sequence[EpochStep]) -> Iterator[str]:
    known = [step for step in steps if step.regret is not None]
    best = best_passed(steps)
    if not known or best is None:
        return
    first, last = known[0], known[-1]
    yield (
        f"Regret by epoch: {first.regret:.2f} in {first.epoch}, {last.regret:.2f} in {last.epoch}, "
        f"least {best.regret:.2f} in {best.epoch} ({best.arch})."
    )
    moves = [
        (step.epoch, edge, gain)
        for step in steps
        for edge, gain in (step.moves or {}).items()
        if abs(gain) >= _SHOWN
    ]
    moves.sort(key=lambda move: -abs(move[2]))
    if moves:
        told = "; ".join(f"{edge} in epoch {n} {gain:+.2f}" for n, edge, gain in moves[:_MOVES])
        yield f"Changes that moved the accuracy most: {told}."


def _mean_sentence(share: MeanShare) -> str:
    if share.low is None or share.high is None:
        return f"{share.edge}: {share.mean:.2f} points of the regret, in a single run."
    interval = f"95 % interval {share.low:.2f} to {share.high:.2f}"
    doubt = ", which holds 0" if share.low <= 0 <= share.high else ""
    return (
        f"{share.edge}: {share.mean:.2f} points of the regret on average over {share.runs} runs "
        f"({interval}{doubt})."
    )


def _printable(line: str) -> str:
    """The line without control characters: names may come from a foreign run."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
