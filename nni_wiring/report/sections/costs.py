"""The local costs dL/dZ: over epochs, per cell, and of the last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nni_wiring import figures
from nni_wiring.figures.palette import text
from nni_wiring.records import EdgeTable
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.curves import KindCurves
from nni_wiring.report.sections.base import (
    JSON,
    Finding,
    Picture,
    Section,
    Table,
    of_kind,
    operation_label,
    picture_name,
)
from nni_wiring.report.words import listing, number, plain, word

_STEPS = {"alpha": "alpha step", "weights": "weight step"}
_CAPTION = (
    "Local cost of every operation over epochs. Under softmax an operation gains share while its "
    "cost lies below the dashed Z-weighted mean of its edge; none costs 0, so it gains where that "
    "mean is positive."
)


@dataclass(frozen=True, eq=False)
class Costs(Section):
    """Local costs of every kind of cell."""

    name: ClassVar[str] = "costs"
    title: ClassVar[str] = "Why: local costs"
    empty: ClassVar[JSON] = {"cost": {}}

    kinds: tuple[KindCurves, ...]
    last_epoch: int
    last: EdgeTable

    @classmethod
    def of(cls, run: RunAnalysis) -> Costs | None:
        """The costs of a run; None where none were measured."""
        kinds = tuple(c for c in run.kinds if c.cost or c.cells is not None)
        last = {edge: row for curves in kinds for edge, row in curves.last_cost().items()}
        return cls(kinds, run.records[-1].epoch, last) if kinds else None

    def findings(self) -> list[Finding]:
        """Edges on which none gains, for every kind of cell that may choose it."""
        found = []
        for curves in self.kinds:
            said = cost_sentence(curves)
            if said is not None:
                topic = of_kind("Local cost", plain(curves.kind.name, 40), len(self.kinds))
                found.append(Finding(topic, said))
        return found

    def tables(self) -> list[Table]:
        """The mean cost of the last epoch, per edge and operation."""
        names = list(dict.fromkeys(name for row in self.last.values() for name in row))
        if not names:
            return []
        rows = [
            [plain(edge, 60), *(number(row.get(name), 5) for name in names)]
            for edge, row in self.last.items()
        ]
        columns = ["edge", *(operation_label(name) for name in names)]
        return [Table("mean local cost of the last epoch", columns, rows, page_only=True)]

    def pictures(self) -> list[Picture]:
        """Costs over epochs, and cells x edges in the last epoch."""
        found = []
        for place, curves in enumerate(self.kinds):
            kinds = len(self.kinds)
            pictures = (_over_epochs(curves, kinds), _heat_map(curves, self.last_epoch, kinds))
            for picture in pictures:
                if picture is not None:
                    name = picture_name(picture.name, place, len(self.kinds))
                    found.append(picture._replace(name=name))
        return found

    def json(self) -> JSON:
        """Edge -> operation -> mean of the last epoch."""
        return {"cost": self.last}


def cost_sentence(curves: KindCurves) -> str | None:
    """Edges on which none gains: their Z-weighted cost was positive in the last epoch."""
    last = _last_edge_costs(curves.edge_cost)
    if not last or not curves.none_allowed:
        return None
    positive = [plain(edge, 60) for edge, value in last.items() if value > 0]
    step = "alpha" if curves.phase == "alpha" else "weight"
    start = f"In the last epoch the Z-weighted cost of the {step} step was"
    total = word(len(last))
    if not positive:
        where = f"positive on no edge of {total}: none, whose cost is 0, gains share nowhere"
    elif len(positive) == len(last):
        where = f"positive on all {total} edges: none, whose cost is 0, gains share everywhere"
    else:
        where = (
            f"positive on {len(positive)} of {len(last)} edges ({listing(positive)}): none, whose "
            "cost is 0, gains share there and loses it on the others"
        )
    return f"{start} {where}."


def _last_edge_costs(edge_cost: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {
        edge: float(values[-1])
        for edge, values in edge_cost.items()
        if len(values) and np.isfinite(values[-1])
    }


def _over_epochs(curves: KindCurves, kinds: int) -> Picture | None:
    if curves.phase is None or not curves.cost:
        return None
    heading = of_kind("Local cost ∂L/∂Z", text(curves.kind.name), kinds)
    figure = figures.edge_series_figure(
        curves.cost,
        f"{heading}, mean over cells and steps ({_STEPS[curves.phase]})",
        "cost (loss)",
        curves.edge_cost,
        "Z-weighted mean of the edge",
    )
    return Picture("costs", _CAPTION, figure)


def _heat_map(curves: KindCurves, epoch: int, kinds: int) -> Picture | None:
    if curves.cells is None:
        return None
    heading = of_kind("Edge cost per cell", text(curves.kind.name), kinds)
    title = f"{heading}, epoch {epoch} ({_STEPS[curves.cells.phase]})"
    caption = (
        "Z-weighted local cost of every cell and edge in the last epoch: orange raises the loss, "
        "purple lowers it."
    )
    return Picture("cost_heat_map", caption, figures.cost_heat_map_figure(curves.cells, title))
