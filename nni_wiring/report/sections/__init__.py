"""The sections of a report, one file each, in the order in which they are shown."""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.alphas import Alphas
from nni_wiring.report.sections.base import JSON, Finding, Picture, Section, Table, Tile
from nni_wiring.report.sections.cells import Cells
from nni_wiring.report.sections.costs import Costs
from nni_wiring.report.sections.notes import Notes
from nni_wiring.report.sections.overview import Overview
from nni_wiring.report.sections.patterns import PatternsSection
from nni_wiring.report.sections.reasons import Reasons
from nni_wiring.report.sections.settings import Settings
from nni_wiring.report.sections.speed import Speed
from nni_wiring.report.sections.topology import Topology
from nni_wiring.report.sections.truth import TruthSection
from search_spaces.names import Registry

__all__ = [
    "SECTIONS",
    "Finding",
    "Picture",
    "Section",
    "Table",
    "Tile",
    "findings",
    "register",
    "run_json",
    "run_sections",
]

SECTIONS: Registry[type[Section]] = Registry(
    "report section",
    ConfigError,
    (
        Notes,
        Overview,
        Cells,
        Reasons,
        PatternsSection,
        Topology,
        TruthSection,
        Speed,
        Alphas,
        Costs,
        Settings,
    ),
)
register = SECTIONS.register


def run_sections(run: RunAnalysis) -> list[Section]:
    """All sections that have something to say of a run."""
    found = [section.of(run) for section in SECTIONS.values()]
    return [section for section in found if section is not None]


def findings(run: RunAnalysis) -> list[Finding]:
    """All sentences about a run, in the order of the sections."""
    return [finding for section in run_sections(run) for finding in section.findings()]


def run_json(run: RunAnalysis, report: str | None) -> JSON:
    """One run for `analyze --json`; `report` is the path of its page."""
    values: JSON = {}
    for section in SECTIONS.values():
        found = section.of(run)
        values |= dict(section.empty) if found is None else found.json()
    return values | {"report": report}
