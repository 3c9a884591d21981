"""A section of your own in the report: the edges that alpha has hardly decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections import Finding, Section, Table, register


@register
@dataclass(frozen=True)
class Margins(Section):
    """Per edge p of the likeliest operation minus p of the next, after the last epoch."""

    name: ClassVar[str] = "margins"
    title: ClassVar[str] = "Margins"
    empty: ClassVar[dict[str, Any]] = {"margin": None}  # analyze --json of a run without

    margins: dict[str, float]

    @classmethod
    def of(cls, run: RunAnalysis) -> Margins | None:
        """The section's data; None where the run has none."""
        rows = run.records[-1].z if run.records else {}
        known = {e: sorted(p for p in row.values() if p is not None) for e, row in rows.items()}
        margins = {edge: p[-1] - p[-2] for edge, p in known.items() if len(p) > 1}
        return cls(margins) if margins else None

    def findings(self) -> list[Finding]:
        """A sentence, on the page and in the terminal."""
        edge = min(self.margins, key=self.margins.__getitem__)
        return [Finding("Margin", f"Least decided is {edge}: {self.margins[edge]:.3f}.")]

    def tables(self) -> list[Table]:
        """A table."""
        rows = [[edge, f"{margin:.3f}"] for edge, margin in self.margins.items()]
        return [Table("margins", ["edge", "p1 - p2"], rows)]

    def json(self) -> dict[str, Any]:
        """Its part of `analyze --json`: the keys of ``empty``."""
        return {"margin": self.margins}
