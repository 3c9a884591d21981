"""Plain sentences about a run, each with its numbers: patterns, verdict, topology, truth, costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nni_wiring.figures.palette import edge_label
from nni_wiring.monitor.patterns import NONE, Patterns
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.curves import metric_title
from nni_wiring.report.verdict import COLLAPSE_DEFINITION, collapse_rates
from nni_wiring.truth import CELLS, TruthTable
from search_spaces.cell_graph import NB201, CellGraph

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Finding(NamedTuple):
    """One sentence of the analysis; `topic` is a short heading such as "Growing (P1)"."""

    topic: str
    text: str


def findings(run: RunAnalysis, table: TruthTable | None = None) -> list[Finding]:
    """All that can be said about `run`, in order of interest; empty before the first epoch."""
    found: list[Finding] = []
    if run.patterns:
        if _none_allowed(run):
            found += [
                Finding("Growing (P1)", growing_sentence(run.patterns)),
                Finding("Width preference (P2)", width_sentence(run.patterns)),
                Finding("Bi-level failure (P3)", selection_sentence(run)),
            ]
        else:
            text = "The space has no operation none, so no edge can be dropped or re-added."
            found.append(Finding("Patterns (P1 to P3)", text))
    if run.wiring:
        found.append(Finding("Collapse", collapse_sentence(run)))
        found.append(Finding("Topology", topology_sentence(run)))
    truth = truth_sentence(run, table)
    if truth:
        found.append(Finding("Truth", truth))
    costs = cost_sentence(run)
    if costs:
        found.append(Finding("Local cost", costs))
    return found


def growing_sentence(found: Patterns, graph: CellGraph = NB201) -> str:
    """P1: how many edges were dropped, until when, and what came back."""
    total, low = len(graph.edges), min(found.counts)
    if low == total:
        span = _epochs(len(found.counts))
        return f"No edge was ever dropped: all {_word(total)} kept an operation over {span}."
    start = found.lowest_epoch
    if found.counts[0] == low:
        missing = "All" if low == 0 else f"{_word(total - low).capitalize()} of"
        fall = f"{missing} {_word(total)} edges stood at none from the start"
    elif low == 0:
        fall = f"All {_word(total)} edges fell to none by epoch {start}"
    else:
        fall = (
            f"The selected edges fell from {found.counts[0]} to {low} of {total} by epoch {start}"
        )
    if found.growing_index == 0:
        return f"{fall}, and none came back (growing index 0)."
    back = f"then {found.growing_index} {_plural(found.growing_index, 'was', 'were')} added back"
    return f"{fall}, {back} (growing index {found.growing_index}); {_recovered(found)}."


def width_sentence(found: Patterns, graph: CellGraph = NB201) -> str:
    """P2: whether the input edges came back before the intermediate ones."""
    inner, outer = _recoveries(found, "intermediate", graph), _recoveries(found, "input", graph)
    base = "an edge of a random cell is none in 1 of 5"
    if found.width_preference is None:
        lost_inner = [edge for edge, epoch in inner.items() if epoch is None]
        lost_outer = [edge for edge, epoch in outer.items() if epoch is None]
        if lost_inner and not lost_outer:
            epochs = _listing(f"{edge_label(e)} from epoch {n}" for e, n in outer.items())
            return (
                f"Width was preferred in its strongest form: {_edges(lost_inner)} is none in the "
                f"end, while the input edges are selected ({epochs}); {base}."
            )
        lost = lost_inner + lost_outer
        verb = _plural(len(lost), "is", "are")
        return f"Cannot be measured: {_edges(lost)} {verb} none in the end; {base}."
    index = found.width_preference
    if all(epoch == 0 for epoch in (*inner.values(), *outer.values())):
        return "No preference can be seen: neither the input edges nor 2<-1 were ever dropped."
    if index == 0:
        return "No preference: the intermediate edge came back together with the input edges."
    order = "after" if index > 0 else "before"
    sense = "width was preferred" if index > 0 else "the reverse of a width preference"
    return (
        f"The intermediate edge was back {_epochs(abs(index))} {order} the input edges "
        f"(index {index:+g}): {sense}."
    )


def selection_sentence(run: RunAnalysis) -> str:
    """P3: whether any edge is selected in the end."""
    assert run.patterns is not None
    level = run.config.get("optimisation", "").replace("_", "-")
    way = f" under {level} optimisation" if level else ""
    total, count = len(NB201.edges), run.patterns.selected_edges
    if run.patterns.nothing_selected:
        return f"No edge is selected{way}: none has the largest alpha on all {_word(total)} edges."
    verb = _plural(count, "edge has", "edges have")
    return f"Not seen{way}: {count} of {total} {verb} an operation in the last epoch."


def collapse_sentence(run: RunAnalysis) -> str:
    """The verdict, its definition, and how many random cells would get it."""
    assert run.wiring is not None
    rates = collapse_rates()
    live = run.wiring.live()
    operations = [name for edge, name in run.wiring.chosen.items() if live[edge]]
    skips = f"{operations.count('skip_connect')} of {len(operations)} live edges are skip_connect"
    if run.collapse == "none":
        text = f"Collapsed to none: nothing reaches the output, as in {_percent(rates['none'])}"
    elif run.collapse == "skip":
        text = f"Collapsed to skip: {skips}; the verdict on {_percent(rates['skip'])}"
    else:
        text = f"No collapse: {skips}"
        if run.wiring.topology().conv_depth == 0:
            share = _percent(rates["no convolution"])
            text += f", but no live path holds a convolution (so in {share} of random cells)"
        return f"{text}. Definition: {COLLAPSE_DEFINITION}."
    text += " of random cells"
    return f"{text}. Definition: {COLLAPSE_DEFINITION}."


def topology_sentence(run: RunAnalysis) -> str:
    """Width and depth against the null of a random cell."""
    parts = []
    for row in run.null:
        if row.key in ("width", "depth", "conv_depth"):
            # the smaller tail says more: every cell is at least 0 deep
            low = row.at_most < row.at_least
            share, bound = (row.at_most, "most") if low else (row.at_least, "least")
            unit = f" {row.unit}" if row.unit else ""
            parts.append(
                f"{row.title} {row.value:g}{unit}; {_percent(share)} of random cells are at "
                f"{bound} as {row.adjective}"
            )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def truth_sentence(run: RunAnalysis, table: TruthTable | None = None) -> str | None:
    """Headline accuracy with rank, percentile and regret, beside the mean random cell."""
    accuracy = run.accuracy()
    if accuracy is None:
        return None
    rank, percentile, regret = (run.accuracy(key) for key in ("rank", "percentile", "regret"))
    text = f"{accuracy:.2f} % on {metric_title(run.dataset, run.split)}"
    if rank is not None and percentile is not None and regret is not None:
        text += (
            f": rank {rank:,.0f} of {CELLS:,}, percentile {percentile:.2f}, "
            f"{regret:.2f} points below the best cell"
        )
    if table is not None and table.has(run.dataset, run.split):
        mean = table.mean(run.dataset, run.split)
        side = "above" if accuracy > mean else "below"
        text += f", {abs(accuracy - mean):.2f} {side} the mean random cell ({mean:.2f})"
    return text + "."


def cost_sentence(run: RunAnalysis) -> str | None:
    """Where none gains: edges whose Z-weighted cost was positive in the last epoch."""
    last = {
        edge: float(values[-1])
        for edge, values in run.curves.edge_cost.items()
        if len(values) and np.isfinite(values[-1])
    }
    if not last or not _none_allowed(run):
        return None
    positive = [edge for edge, value in last.items() if value > 0]
    step = "alpha" if run.curves.phase == "alpha" else "weight"
    start = f"In the last epoch the Z-weighted cost of the {step} step was"
    total = _word(len(last))
    if not positive:
        where = f"positive on no edge of {total}: none, whose cost is 0, gains share nowhere"
    elif len(positive) == len(last):
        where = f"positive on all {total} edges: none, whose cost is 0, gains share everywhere"
    else:
        where = (
            f"positive on {len(positive)} of {len(last)} edges ({_edges(positive)}): none, whose "
            "cost is 0, gains share there and loses it on the others"
        )
    return f"{start} {where}."


def _recovered(found: Patterns) -> str:
    """`2<-1 never recovered` and the like."""
    never = [edge for edge, epoch in found.recovery_epochs.items() if epoch is None]
    return f"{_edges(never)} never recovered" if never else "every edge recovered"


def _recoveries(found: Patterns, role: str, graph: CellGraph) -> dict[str, int | None]:
    return {e: epoch for e, epoch in found.recovery_epochs.items() if graph.role(e) == role}


def _none_allowed(run: RunAnalysis) -> bool:
    """Whether none could be chosen on some edge."""
    tables = (run.curves.alpha.values, run.curves.z.values)
    return any(NONE in row for values in tables for row in values.values())


def _edges(names: Sequence[str]) -> str:
    return _listing(edge_label(name) for name in names)


def _listing(parts: Iterable[str]) -> str:
    items = list(parts)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _epochs(count: float) -> str:
    return f"{count:g} {'epoch' if count == 1 else 'epochs'}"


def _percent(share: float) -> str:
    """A share (0..1) in percent, with a decimal only where it matters."""
    digits = 0 if share >= 0.1 or share == 0 else 1
    return f"{100 * share:.{digits}f} %"


def _word(count: int) -> str:
    return _WORDS[count] if count < len(_WORDS) else str(count)


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
