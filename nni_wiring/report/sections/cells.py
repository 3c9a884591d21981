"""The derived cell of every kind, spelt out and drawn as a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring import figures
from nni_wiring.records import DerivedCell
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.cells import topology_of, wiring_of
from nni_wiring.report.sections.base import (
    JSON,
    Finding,
    Picture,
    Section,
    Table,
    of_kind,
    picture_name,
)
from nni_wiring.report.words import plain

_CAPTION = (
    "The derived cell: colour is the operation, line width its weight Z, dashed grey edges are "
    "dead."
)
_MOST_ARCH = 2000  # characters: a genotype of DARTS takes about 600


@dataclass(frozen=True)
class Cells(Section):
    """The cells that the run ended with.

    Attributes:
        arch: the text of the cell, where it has one.
        cells: by kind.
        z: by kind, Z of every edge's operation in the last epoch, where it is known.
    """

    name: ClassVar[str] = "cells"
    title: ClassVar[str] = "The derived cell"
    empty: ClassVar[JSON] = {"arch": None, "cells": {}}

    arch: str | None
    cells: dict[str, DerivedCell]
    z: dict[str, dict[str, float]]

    @classmethod
    def of(cls, run: RunAnalysis) -> Cells | None:
        """The cells of a run; None before its first epoch."""
        if run.arch is None and not run.cells:
            return None
        z = {}
        for kind, cell in run.cells.items():
            curves = run.curves_of(kind)
            z[kind] = {} if curves is None else curves.last_z(dict(cell.operations))
        return cls(None if run.arch is None else plain(run.arch, _MOST_ARCH), dict(run.cells), z)

    def lines(self) -> list[Finding]:
        """The cell's own text; every kind's operations where it has none."""
        if self.arch is not None:
            return [Finding("derived cell", self.arch)]
        return [
            Finding(f"derived cell {plain(kind, 40)}", plain(_operations(cell), 1000))
            for kind, cell in self.cells.items()
        ]

    def tables(self) -> list[Table]:
        """The operations of cells that cannot be drawn."""
        rows = [
            [plain(edge, 60), plain(operation, 60)]
            for cell in self.cells.values()
            if wiring_of(cell) is None
            for edge, operation in cell.operations.items()
        ]
        return (
            [Table("chosen operations", ["choice", "operation"], rows, words=True)] if rows else []
        )

    def pictures(self) -> list[Picture]:
        """The graph of every cell that has one."""
        drawn = [(cell, w) for cell in self.cells.values() if (w := wiring_of(cell)) is not None]
        found = []
        for place, (cell, wiring) in enumerate(drawn):
            topology = wiring.topology()
            title = (
                f"{of_kind('Derived cell', plain(cell.kind, 40), len(drawn))}: "
                f"width {topology.width:g} c, depth {topology.depth}, "
                f"{topology.live_edges} live edges"
            )
            figure = figures.cell_graph_figure(wiring, self.z.get(cell.kind), title)
            found.append(Picture(picture_name("cell", place, len(drawn)), _CAPTION, figure))
        return found

    def json(self) -> JSON:
        """The cell's text, and every kind's graph, operations and topology."""
        cells = {
            plain(kind, 60): cell.to_json() | {"topology": topology_of(cell)}
            for kind, cell in self.cells.items()
        }
        return {"arch": self.arch, "cells": cells}


def _operations(cell: DerivedCell) -> str:
    return ", ".join(f"{edge} {operation}" for edge, operation in cell.operations.items())
