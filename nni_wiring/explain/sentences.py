"""An explanation in plain sentences, worst edge first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nni_wiring.explain.cost_gap import CostGap
from nni_wiring.explain.decisions import EdgeDecision
from nni_wiring.explain.explanation import EdgeExplanation, Explanation
from nni_wiring.explain.other_selections import SelectedCell
from nni_wiring.explain.over_runs import MeanShare
from nni_wiring.explain.repairs import Repair
from nni_wiring.explain.timeline import EpochStep, best_passed

_SHOWN = 0.005  # percent points; less is written as 0.00
_MOVES = 3


class Told(NamedTuple):
    """The sentences on one subject: the cell, one edge, a repair, the epochs.

    Attributes:
        topic: the subject, such as "0-1 skip_connect".
        lines: whole sentences; of an edge first the truth's word, then the search's.
    """

    topic: str
    lines: tuple[str, ...]


def told(found: Explanation) -> tuple[Told, ...]:
    """The cell, its ties, its edges (worst first), then repairs and epochs; all printable.

    This is the one wording of an explanation: the command, `analyze` and the report show it.
    """
    subjects = [*_cell_told(found), *_noise_told(found), *_ties_told(found)]
    subjects += [_edge_told(found, edge) for edge in found.worst_first]
    subjects += [*_repairs_told(found), *_epochs_told(found.epochs)]
    subjects += _selections_told(found)
    return tuple(
        Told(_printable(topic), tuple(map(_printable, lines))) for topic, lines in subjects
    )


def sentences(found: Explanation) -> tuple[str, ...]:
    """Lines of text: a subject's first sentence after its topic, the others indented."""
    name = "cell" if found.run_id is None else f"run {found.run_id}"
    lines = [_printable(f"{name}: {found.arch or 'a cell without an arch string'}")]
    for topic, (first, *others) in told(found):
        lines += [f"{topic}: {first}", *(f"    {line}" for line in others)]
    lines += [_printable(f"note: {note}") for note in found.notes]
    return tuple(lines)


def over_runs_sentences(shares: Sequence[MeanShare]) -> tuple[str, ...]:
    """One line an edge, the one that loses most on average first."""
    return tuple(map(_mean_sentence, sorted(shares, key=lambda share: -share.mean)))


def _cell_told(found: Explanation) -> Iterator[Told]:
    if found.accuracy is None or found.regret is None or found.best is None:
        return
    topic = f"{found.dataset} {found.split}"
    where = f"{found.accuracy:.2f} % ({found.benchmark} index {found.index}, table {found.table})"
    if found.index == found.best.index:
        yield Told(topic, (f"{where}: the best cell.",))
    elif found.regret == 0:
        yield Told(topic, (f"{where}: as good as the best cell, {found.best.arch}.",))
    else:
        best = f"{found.best.accuracy:.2f} % (index {found.best.index}): {found.best.arch}"
        yield Told(topic, (f"{where}: {found.regret:.2f} points below the best cell, {best}",))


def _noise_told(found: Explanation) -> Iterator[Told]:
    noise = found.noise
    if noise is None:
        return
    if noise.difference is not None:
        said = (
            f"single trainings of cells about as good scatter by {noise.deviation:.2f} points "
            f"(standard deviation); between two cells of {noise.trainings} each, differences below "
            f"{noise.difference:.2f} points may be chance."
        )
    elif noise.trainings == 1:
        said = "one training a cell: the table does not tell how far another would lie from it."
    else:
        return
    yield Told("Noise of the truth", (said,))


def _ties_told(found: Explanation) -> Iterator[Told]:
    decided = [edge for edge in found.edges if edge.decision is not None]
    ties = [edge.edge for edge in decided if edge.decision and edge.decision.verdict == "tie"]
    if ties:
        count = f"{len(ties)} of {len(decided)} decisions, within their uncertainty"
        yield Told("Ties", (f"{count}: {', '.join(ties)}. Another seed may decide otherwise.",))


def _edge_told(found: Explanation, edge: EdgeExplanation) -> Told:
    decision, taken = edge.decision, edge.operation
    lines = [_truth_sentence(found, edge)]
    if decision is not None:
        if taken is not None and taken != decision.winner:
            lines.append(f"The cell has {taken}, not the operation with the largest alpha.")
        lines.append(_decision_sentence(decision))
    name = taken or (decision.winner if decision else "unknown")
    known = tuple(line for line in lines if line)
    return Told(f"{edge.edge} {name}", known or ("Nothing is known of its choice.",))


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


def _repairs_told(found: Explanation) -> Iterator[Told]:
    if found.accuracy is not None and not found.repairs and found.regret:
        yield Told("Best repair", ("no change of one edge, or of two, makes the cell better.",))
    for repair in found.repairs:
        count = "one edge" if len(repair.changes) == 1 else "two edges"
        reached = f"{repair.accuracy:.2f} ({repair.gain:+.2f})"
        yield Told(f"Best repair of {count}", (f"{_changes(repair)}, {reached}.",))


def _changes(repair: Repair) -> str:
    return " and ".join(f"{name} on {edge}" for edge, name in repair.changes.items())


def _epochs_told(steps: Sequence[EpochStep]) -> Iterator[Told]:
    known = [step for step in steps if step.regret is not None]
    best = best_passed(steps)
    if not known or best is None:
        return
    first, last = known[0], known[-1]
    said = (
        f"{first.regret:.2f} in {first.epoch}, {last.regret:.2f} in {last.epoch}, "
        f"least {best.regret:.2f} in {best.epoch} ({best.arch})."
    )
    yield Told("Regret by epoch", (said,))
    moves = [
        (step.epoch, edge, gain)
        for step in steps
        for edge, gain in (step.moves or {}).items()
        if abs(gain) >= _SHOWN
    ]
    moves.sort(key=lambda move: -abs(move[2]))
    if moves:
        largest = "; ".join(f"{edge} in epoch {n} {gain:+.2f}" for n, edge, gain in moves[:_MOVES])
        yield Told("Changes that moved the accuracy most", (f"{largest}.",))


def _selections_told(found: Explanation) -> Iterator[Told]:
    """Selections whose cells are not the run's own in every epoch."""
    own = {step.epoch: step.arch for step in found.epochs}
    by_name: dict[str, list[SelectedCell]] = {}
    for cell in found.selections:
        by_name.setdefault(cell.selection, []).append(cell)
    lines = [
        _selection_sentence(name, cells, found.regret)
        for name, cells in by_name.items()
        if any(own.get(cell.epoch) != cell.arch for cell in cells) or cells[-1].arch != found.arch
    ]
    if lines:
        yield Told("Other selections from the same supernet", tuple(lines))


def _selection_sentence(name: str, cells: Sequence[SelectedCell], own: float | None) -> str:
    known = [cell for cell in cells if cell.regret is not None]
    last = cells[-1]
    if last.regret is None or own is None:
        return f"{name}: {last.arch} in epoch {last.epoch}, of missing accuracy."
    said = f"{name}: {last.arch}, regret {last.regret:.2f} in epoch {last.epoch}"
    said += f" ({last.regret - own:+.2f} against the run's cell)"
    least = min(known, key=lambda cell: cell.regret or 0.0)
    if len(known) == 1:
        return f"{said}."
    return f"{said}, least {least.regret:.2f} in {least.epoch}."


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
