"""The decision of every edge: since when it stands, by what margin, and whether it is a tie."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from nni_wiring.explain.decisions import EdgeDecision, edge_decisions
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.base import JSON, Finding, Section
from nni_wiring.report.words import plain


@dataclass(frozen=True)
class Decisions(Section):
    """The decisions of the edges.

    Attributes:
        edges: by edge, as the records name it.
    """

    name: ClassVar[str] = "decisions"
    title: ClassVar[str] = ""
    empty: ClassVar[JSON] = {"decisions": {}}

    edges: dict[str, EdgeDecision]

    @classmethod
    def of(cls, run: RunAnalysis) -> Decisions | None:
        """The decisions of a run; None where no alpha is recorded."""
        edges = edge_decisions(run.records)
        return cls(edges) if edges else None

    @property
    def ties(self) -> dict[str, EdgeDecision]:
        """The edges whose winner and runner-up the run's costs do not tell apart."""
        return {edge: one for edge, one in self.edges.items() if one.verdict == "tie"}

    def findings(self) -> list[Finding]:
        """The ties, in one sentence."""
        if not self.ties:
            return []
        told = "; ".join(_told(plain(edge), one) for edge, one in self.ties.items())
        count = f"{len(self.ties)} of {len(self.edges)} decisions are ties"
        return [Finding("Ties", f"{count} (their costs do not tell the two apart): {told}")]

    def json(self) -> JSON:
        """{"decisions": {edge: {"winner", "runner_up", "margin", "verdict", ...}}}."""
        return {"decisions": {edge: asdict(one) for edge, one in self.edges.items()}}


def _told(edge: str, one: EdgeDecision) -> str:
    if one.share is None or one.runner_up_share is None:
        return f"{edge} {plain(one.winner)} over {plain(one.runner_up)}"
    return (
        f"{edge} {plain(one.winner)} over {plain(one.runner_up)} "
        f"(p {one.share:.4f} against {one.runner_up_share:.4f})"
    )
