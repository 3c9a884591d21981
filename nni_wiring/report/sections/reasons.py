"""The reasons for the run's cell, and whether it was right: the explanation in sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from nni_wiring.explain import EdgeDecision, Explanation, edge_decisions, told
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.base import JSON, Finding, Section
from nni_wiring.report.words import plain


@dataclass(frozen=True)
class Reasons(Section):
    """The explanation of the run's cell, worst edge first.

    Attributes:
        found: the explanation; None for files of a foreign run that cannot be explained.
        decisions: by edge, as the records name it.
    """

    name: ClassVar[str] = "reasons"
    title: ClassVar[str] = "Why this cell, and was it right"
    empty: ClassVar[JSON] = {"decisions": {}, "explanation": None}

    found: Explanation | None
    decisions: dict[str, EdgeDecision]

    @classmethod
    def of(cls, run: RunAnalysis) -> Reasons | None:
        """The reasons of a run; None where neither alphas nor truth tell any."""
        found, decisions = run.explanation, edge_decisions(run.records)
        if not decisions and (found is None or found.accuracy is None):
            return None
        return cls(found, decisions)

    def notes(self) -> list[str]:
        """Lines beside the shares; without truth the run's own notes say why there are none."""
        known = self.found is not None and self.found.accuracy is not None
        return [plain(note) for note in self.found.notes] if self.found and known else []

    def findings(self) -> list[Finding]:
        """A finding for every subject: the cell, its edges, its repairs, its epochs."""
        if self.found is None:
            return []
        return [Finding(plain(topic), " ".join(lines)) for topic, lines in told(self.found)]

    def json(self) -> JSON:
        """{"decisions": {edge: {"winner", "verdict", ...}}, "explanation": as `explain --json`}."""
        return {
            "decisions": {edge: asdict(one) for edge, one in self.decisions.items()},
            "explanation": None if self.found is None else self.found.to_json(),
        }
