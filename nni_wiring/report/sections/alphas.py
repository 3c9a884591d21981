"""The architecture parameters over epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring import figures
from nni_wiring.figures.palette import text
from nni_wiring.figures.series import EdgeSeries
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.sections.base import Picture, Section, of_kind, picture_name


@dataclass(frozen=True, eq=False)
class Alphas(Section):
    """Alpha per kind of cell, edge and operation."""

    name: ClassVar[str] = "alphas"
    title: ClassVar[str] = "Architecture parameters"

    series: dict[str, EdgeSeries]

    @classmethod
    def of(cls, run: RunAnalysis) -> Alphas | None:
        """The alphas of a run; None where they are not recorded."""
        series = {curves.kind.name: curves.alpha for curves in run.kinds if curves.alpha}
        return cls(series) if series else None

    def pictures(self) -> list[Picture]:
        """One a kind of cell."""
        kinds = len(self.series)
        found = []
        for place, (kind, series) in enumerate(self.series.items()):
            title = of_kind("Architecture parameters α", text(kind), kinds)
            figure = figures.edge_series_figure(series, title, "α")
            caption = "Architecture parameters α of every edge over epochs."
            found.append(Picture(picture_name("alphas", place, kinds), caption, figure))
        return found
