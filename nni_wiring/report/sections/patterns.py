"""The wiring's evolution: growing, width preference and bi-level failure, and the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring import figures
from nni_wiring.figures.palette import text
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.curves import KindCurves
from nni_wiring.report.sections.base import (
    JSON,
    Finding,
    Picture,
    Section,
    of_kind,
    picture_name,
)
from nni_wiring.report.verdict import collapse
from nni_wiring.report.words import epochs, listing, plain, plural, word
from search_spaces.cell_graph import CellGraph, Wiring
from search_spaces.patterns import Patterns

_CAPTION = (
    "How the wiring evolved: the operation of the largest α on every edge, epoch by epoch, and the "
    "number of edges where it is not none (the growing pattern shows here)."
)


@dataclass(frozen=True, eq=False)
class PatternsSection(Section):
    """The wiring patterns of every kind of cell.

    Attributes:
        kinds: kinds of cell whose largest alphas are known.
        level: how alpha was optimised ("bi-level", ...), empty if not known.
        wiring: the cell that a search with one kind of cell derived.
    """

    name: ClassVar[str] = "patterns"
    title: ClassVar[str] = "What happened"
    empty: ClassVar[JSON] = {
        "patterns": {
            "growing_index": None,
            "width_preference": None,
            "recovery_epochs": {},
            "selected_edges": None,
            "collapse": None,
        }
    }

    kinds: tuple[KindCurves, ...]
    level: str
    wiring: Wiring | None

    @classmethod
    def of(cls, run: RunAnalysis) -> PatternsSection | None:
        """The history of a run; None before its first epoch."""
        kinds = tuple(curves for curves in run.kinds if curves.states)
        level = run.facts.config.get("optimisation", "").replace("_", "-")
        return cls(kinds, level, run.chosen) if kinds or run.chosen else None

    def findings(self) -> list[Finding]:
        """P1 to P3 of every kind of cell with a graph."""
        found = []
        for curves in self.kinds:
            for topic, said in _kind_findings(curves, self.level):
                kind = plain(curves.kind.name, 40)
                found.append(Finding(of_kind(topic, kind, len(self.kinds)), said))
        return found

    def pictures(self) -> list[Picture]:
        """A timeline a kind of cell."""
        kinds, found = len(self.kinds), []
        for place, curves in enumerate(self.kinds):
            title = of_kind("Operation of the largest α on every edge", _name(curves), kinds)
            operations = [name for row in curves.alpha.values.values() for name in row]
            figure = figures.wiring_timeline_figure(
                curves.states, curves.kind.graph, title, operations
            )
            found.append(Picture(picture_name("wiring_timeline", place, kinds), _CAPTION, figure))
        return found

    def json(self) -> JSON:
        """The figures of a run with one kind of cell; those of several under `kinds`."""
        measured = {plain(c.kind.name, 60): c.patterns for c in self.kinds if c.patterns}
        values: JSON = dict(self.empty["patterns"])
        if len(self.kinds) == 1:
            values |= {k: v for found in measured.values() for k, v in _figures(found).items()}
        elif measured:
            values["kinds"] = {kind: _figures(found) for kind, found in measured.items()}
        values["collapse"] = collapse(self.wiring) if self.wiring else None
        return {"patterns": values}


def growing_sentence(found: Patterns, graph: CellGraph) -> str:
    """P1: how many edges were dropped, until when, and what came back."""
    total, low = len(graph.edges), min(found.counts)
    if low == total:
        span = epochs(len(found.counts))
        return f"No edge was ever dropped: all {word(total)} kept an operation over {span}."
    start = found.lowest_epoch
    if found.counts[0] == low:
        missing = "All" if low == 0 else f"{word(total - low).capitalize()} of"
        fall = f"{missing} {word(total)} edges stood at none from the start"
    elif low == 0:
        fall = f"All {word(total)} edges fell to none by epoch {start}"
    else:
        fall = (
            f"The selected edges fell from {found.counts[0]} to {low} of {total} by epoch {start}"
        )
    if found.growing_index == 0:
        return f"{fall}, and none came back (growing index 0)."
    back = f"then {found.growing_index} {plural(found.growing_index, 'was', 'were')} added back"
    return f"{fall}, {back} (growing index {found.growing_index}); {_recovered(found)}."


def width_sentence(found: Patterns, graph: CellGraph, operations: int) -> str:
    """P2: whether the input edges came back before the intermediate ones.

    Args:
        found: the patterns.
        graph: tells the roles of the edges.
        operations: number of operations that an edge chooses from.
    """
    inner, outer = _recoveries(found, "intermediate", graph), _recoveries(found, "input", graph)
    base = f"an edge of a random cell is none in 1 of {operations}"
    if found.width_preference is None:
        lost_inner = [edge for edge, epoch in inner.items() if epoch is None]
        lost_outer = [edge for edge, epoch in outer.items() if epoch is None]
        if lost_inner and not lost_outer and outer:
            since = listing(f"{edge} from epoch {n}" for edge, n in outer.items())
            verb = plural(len(lost_inner), "is", "are")
            return (
                f"Width was preferred in its strongest form: {listing(lost_inner)} {verb} none in "
                f"the end, while the input edges are selected ({since}); {base}."
            )
        lost = lost_inner + lost_outer
        if not lost:
            return "Cannot be measured: the cell has no intermediate or no input edge."
        verb = plural(len(lost), "is", "are")
        return f"Cannot be measured: {listing(lost)} {verb} none in the end; {base}."
    index = found.width_preference
    if all(epoch == 0 for epoch in (*inner.values(), *outer.values())):
        return (
            f"No preference can be seen: neither the input edges nor {listing(inner)} were ever "
            "dropped."
        )
    edges = plural(len(inner), "edge", "edges")
    if index == 0:
        return f"No preference: the intermediate {edges} came back together with the input edges."
    order = "after" if index > 0 else "before"
    sense = "width was preferred" if index > 0 else "the reverse of a width preference"
    return (
        f"The intermediate {edges} {plural(len(inner), 'was', 'were')} back {epochs(abs(index))} "
        f"{order} the input edges (index {index:+g}): {sense}."
    )


def selection_sentence(found: Patterns, graph: CellGraph, level: str) -> str:
    """P3: whether any edge is selected in the end; `level`: how alpha was optimised."""
    way = f" under {level} optimisation" if level else ""
    total, count = len(graph.edges), found.selected_edges
    if found.nothing_selected:
        return f"No edge is selected{way}: none has the largest alpha on all {word(total)} edges."
    verb = plural(count, "edge has", "edges have")
    return f"Not seen{way}: {count} of {total} {verb} an operation in the last epoch."


def _kind_findings(curves: KindCurves, level: str) -> list[Finding]:
    found, graph = curves.patterns, curves.kind.graph
    if found is None or graph is None:
        return []
    if not curves.none_allowed:
        said = "The space has no operation none, so no edge can be dropped or re-added."
        return [Finding("Patterns (P1 to P3)", said)]
    tables = (curves.alpha.values, curves.z.values)
    operations = max(len(row) for values in tables for row in values.values())
    return [
        Finding("Growing (P1)", growing_sentence(found, graph)),
        Finding("Width preference (P2)", width_sentence(found, graph, operations)),
        Finding("Bi-level failure (P3)", selection_sentence(found, graph, level)),
    ]


def _figures(found: Patterns) -> JSON:
    return {
        "growing_index": found.growing_index,
        "width_preference": found.width_preference,
        "recovery_epochs": dict(found.recovery_epochs),
        "selected_edges": found.selected_edges,
    }


def _name(curves: KindCurves) -> str:
    return text(curves.kind.name)


def _recovered(found: Patterns) -> str:
    """`1-2 never recovered` and the like."""
    never = [edge for edge, epoch in found.recovery_epochs.items() if epoch is None]
    return f"{listing(never)} never recovered" if never else "every edge recovered"


def _recoveries(found: Patterns, role: str, graph: CellGraph) -> dict[str, int | None]:
    return {e: epoch for e, epoch in found.recovery_epochs.items() if graph.role(e) == role}
