"""The run at a glance: its settings in a line, the verdict on its cell, a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring.records import Score
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.cells import wiring_of
from nni_wiring.report.facts import RunFacts
from nni_wiring.report.provenance import Provenance
from nni_wiring.report.sections.base import JSON, Finding, Section, Tile, of_kind
from nni_wiring.report.verdict import COLLAPSE_DEFINITION, collapse, collapse_rates
from nni_wiring.report.words import number, percent, regret_unit
from nni_wiring.truth import Benchmark
from search_spaces.cell_graph import Wiring


@dataclass(frozen=True)
class Overview(Section):
    """Facts of the run, and whether its cells have collapsed."""

    name: ClassVar[str] = "overview"
    title: ClassVar[str] = ""
    empty: ClassVar[JSON] = {}

    facts: RunFacts
    epochs: int
    wirings: dict[str, Wiring]
    benchmark: Benchmark
    metric: str
    score: Score
    provenance: Provenance
    growing_index: int | None

    @classmethod
    def of(cls, run: RunAnalysis) -> Overview:
        """The overview that every run has."""
        cells = {} if run.facts.trained else run.cells  # a cell that was given cannot collapse
        found = {kind: wiring_of(cell) for kind, cell in cells.items()}
        patterns = run.curves.patterns if run.curves else None
        return cls(
            facts=run.facts,
            epochs=len(run.records),
            wirings={kind: wiring for kind, wiring in found.items() if wiring is not None},
            benchmark=run.benchmark,
            metric=run.benchmark.column_title(run.dataset, run.split),
            score=run.score,
            provenance=run.provenance,
            growing_index=None if patterns is None else patterns.growing_index,
        )

    def tiles(self) -> list[Tile]:
        """Accuracy, regret and rank where they are known, and the verdicts."""
        found = []
        if self.score.accuracy is not None:
            # the notes of the run say why
            note = "" if self.provenance.comparable else f" ({self.provenance.warning})"
            measure = self.benchmark.measure(self.provenance.dataset)
            value = f"{number(self.score.accuracy)} {measure.unit}".strip()
            found += [
                Tile(value, f"true {self.metric} {measure.name}{note}"),
                Tile(number(self.score.regret), f"regret, {regret_unit(measure)}"),
                Tile(number(self.score.rank, 0), f"rank of {self.benchmark.cells:,}"),
            ]
        if self.growing_index is not None:
            found.append(Tile(str(self.growing_index), "growing index"))
        for kind, wiring in self.wirings.items():
            label = of_kind("collapse", kind, len(self.wirings))
            found.append(Tile(collapse(wiring) or "no", label))
        return found

    def findings(self) -> list[Finding]:
        """The verdict on every kind of cell."""
        return [
            Finding(
                of_kind("Collapse", kind, len(self.wirings)),
                collapse_sentence(wiring, self.benchmark),
            )
            for kind, wiring in self.wirings.items()
        ]

    def json(self) -> JSON:
        """Facts of the run."""
        facts = self.facts
        return {
            "run_id": facts.run_id,
            "strategy": facts.strategy,
            "space": facts.space,
            "data": facts.data,
            "seed": facts.seed,
            "epochs": self.epochs,
            "status": facts.status,
            "error": facts.error,
        }


def collapse_sentence(wiring: Wiring, benchmark: Benchmark) -> str:
    """The verdict, its definition, and how many of the benchmark's random cells would get it."""
    verdict, live = collapse(wiring), wiring.live()
    operations = [name for edge, name in wiring.chosen.items() if live[edge]]
    held = benchmark.codec.holds(wiring.graph, wiring.operations)
    rates = collapse_rates(benchmark) if held else {}
    skips = f"{operations.count('skip_connect')} of {len(operations)} live edges are skip_connect"
    with_parameters = sum("conv" in name for name in operations)
    told = {
        None: f"No collapse: {skips}, {with_parameters} have parameters",
        "none": "Collapsed to none: nothing reaches the output",
        "skip": f"Collapsed to skip: {skips}",
        "pooling": f"Collapsed to pooling: {sum('pool' in name for name in operations)} of "
        f"{len(operations)} live edges are pooling",
        "no parameters": f"Collapsed to operations without parameters: {with_parameters} of "
        f"{len(operations)} live edges have any",
    }[verdict]
    if verdict is None:
        share = sum(rates.values())
        null = f"; {percent(share)} of random cells are collapsed" if rates else ""
    else:
        null = f"; the verdict on {percent(rates[verdict])} of random cells" if rates else ""
    return f"{told}{null}. Definition: {COLLAPSE_DEFINITION}."
