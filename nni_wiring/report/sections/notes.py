"""Notes that belong beside the figures of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring.figures.kinds import MOST_EDGES, MOST_KINDS
from nni_wiring.records import EpochRecord
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.base import JSON, Section


@dataclass(frozen=True)
class Notes(Section):
    """Lines about the run, its data and its truth."""

    name: ClassVar[str] = "notes"
    title: ClassVar[str] = ""
    empty: ClassVar[JSON] = {"notes": []}

    said: tuple[str, ...]

    @classmethod
    def of(cls, run: RunAnalysis) -> Notes | None:
        """All notes of a run; None if there are none."""
        said = [*_progress(run), *_truth(run), *_records(run)]
        return cls(tuple(said)) if said else None

    def notes(self) -> list[str]:
        """The lines."""
        return list(self.said)

    def json(self) -> JSON:
        """The lines."""
        return {"notes": list(self.said)}


def notes_of(run: RunAnalysis) -> list[str]:
    """The notes of a run, maybe none."""
    found = Notes.of(run)
    return [] if found is None else found.notes()


def _progress(run: RunAnalysis) -> list[str]:
    status, count = run.facts.status, len(run.records)
    if status == "running":
        going = f"the run goes on (or was killed): epochs recorded so far: {count}"
        return [going if count else "the run has no epoch yet"]
    if not count:
        return [f"the run {status} before its first epoch: there is nothing to analyse"]
    return []


def _truth(run: RunAnalysis) -> list[str]:
    if run.truth is None:
        if run.arch is None and not run.cells:
            return []
        return ["no benchmark with a table holds the derived cell: it has no truth here"]
    said = [run.provenance.note] if run.provenance.note else []
    if run.table is None:
        said.append("no truth table: the truth is what the run recorded")
    return said


def _records(run: RunAnalysis) -> list[str]:
    said = []
    for curves in run.kinds:
        if curves.states and len(curves.states) < len(run.records):
            said.append(f"alphas are recorded for the leading epochs only: {len(curves.states)}")
    if run.cells and run.arch is None and run.records and not run.records[-1].cells:
        said.append("the run recorded no cell: shown are the operations of the largest alphas")
    if any(_too_much(record) for record in run.records[-1:]):
        said.append(f"shown are at most {MOST_KINDS} kinds of cell with {MOST_EDGES} edges each")
    return list(dict.fromkeys(said))


def _too_much(record: EpochRecord) -> bool:
    scopes = [key.rpartition("/")[0] for key in record.alpha]
    sizes = [scopes.count(scope) for scope in dict.fromkeys(scopes)]
    return len(sizes) > MOST_KINDS or max(sizes, default=0) > MOST_EDGES
