"""The settings of a run, and the versions it ran with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.base import Section, Table


@dataclass(frozen=True)
class Settings(Section):
    """Settings and versions by name."""

    name: ClassVar[str] = "settings"
    title: ClassVar[str] = "Settings"

    config: dict[str, str]
    versions: dict[str, str]

    @classmethod
    def of(cls, run: RunAnalysis) -> Settings:
        """The section of any run: each has settings."""
        return cls(run.facts.config, run.facts.versions)

    def tables(self) -> list[Table]:
        """Both, on the page."""
        rows = [
            [name, value] for part in (self.config, self.versions) for name, value in part.items()
        ]
        title = f"{len(self.config)} settings, versions"
        return [Table(title, ["name", "value"], rows, words=True, page_only=True)]
