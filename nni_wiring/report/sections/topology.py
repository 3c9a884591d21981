"""Width, depth and the like of every kind of cell, a benchmark's cell against a random one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.cells import benchmark_wiring, topology_of
from nni_wiring.report.sections.base import JSON, Finding, Section, Table, of_kind
from nni_wiring.report.verdict import NullRow, null_rows
from nni_wiring.report.words import number, percent, plain

_SAID = ("width", "depth", "conv_depth")
_UNITS = {"width": "c"}


@dataclass(frozen=True)
class Topology(Section):
    """Topology figures of the derived cells.

    Attributes:
        figures: by kind, figure by name.
        null: against random cells; empty for cells that no benchmark holds.
        cells: number of cells of the benchmark.
    """

    name: ClassVar[str] = "topology"
    title: ClassVar[str] = "Topology"
    empty: ClassVar[JSON] = {"topology": None}

    figures: dict[str, dict[str, float | int | bool]]
    null: tuple[NullRow, ...]
    cells: int

    @classmethod
    def of(cls, run: RunAnalysis) -> Topology | None:
        """The figures of a run's cells; None where they are not defined."""
        found = {kind: topology_of(cell) for kind, cell in run.cells.items()}
        figures = {kind: values for kind, values in found.items() if values}
        own = benchmark_wiring(run.arch, run.benchmark)
        null = () if own is None else null_rows(own, run.benchmark)
        return cls(figures, null, run.benchmark.cells) if figures else None

    def findings(self) -> list[Finding]:
        """Width and depth in a sentence."""
        if self.null:
            return [Finding("Topology", null_sentence(self.null))]
        return [
            Finding(of_kind("Topology", plain(kind, 40), len(self.figures)), _plain_sentence(one))
            for kind, one in self.figures.items()
        ]

    def tables(self) -> list[Table]:
        """Every figure; against the null where there is one."""
        if self.null:
            return [_null_table(self.null, self.cells)]
        names = list(dict.fromkeys(name for one in self.figures.values() for name in one))
        rows = [
            [_with_unit(name), *(_figure(one.get(name)) for one in self.figures.values())]
            for name in names
        ]
        columns = ["figure", *(plain(kind, 40) for kind in self.figures)]
        return [Table("topology of the derived cell", columns, rows)]

    def json(self) -> JSON:
        """The figures of a run with one kind of cell."""
        return {"topology": next(iter(self.figures.values())) if len(self.figures) == 1 else None}


def null_sentence(rows: tuple[NullRow, ...]) -> str:
    """Width and depth against the null of a random cell."""
    parts = []
    for row in rows:
        if row.key in _SAID:
            # the smaller tail says more: every cell is at least 0 deep
            low = row.at_most < row.at_least
            share, bound = (row.at_most, "most") if low else (row.at_least, "least")
            unit = f" {row.unit}" if row.unit else ""
            parts.append(
                f"{row.title} {row.value:g}{unit}; {percent(share)} of random cells are at "
                f"{bound} as {row.adjective}"
            )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _plain_sentence(figures: dict[str, float | int | bool]) -> str:
    said = [
        f"{_title(name)} {_figure(figures[name])} {_UNITS.get(name, '')}".strip()
        for name in _SAID
        if name in figures
    ]
    live = figures.get("live_edges")
    text = ", ".join(said + ([] if live is None else [f"{live} live edges"]))
    return text[:1].upper() + text[1:] + "."


def _null_table(rows: tuple[NullRow, ...], cells: int) -> Table:
    return Table(
        "against a random cell",
        ["figure", "value", "random mean", "random ≥", "random ≤"],
        [
            [
                f"{row.title}, {row.unit}" if row.unit else row.title,
                f"{row.value:g}",
                number(row.mean),
                f"{number(100 * row.at_least, 1)} %",
                f"{number(100 * row.at_most, 1)} %",
            ]
            for row in rows
        ],
        note=f"The last two columns: the share of all {cells:,} cells with at least and with at "
        "most this value.",
    )


def _title(name: str) -> str:
    return plain(name, 40).replace("_", " ")


def _with_unit(name: str) -> str:
    return f"{_title(name)}, {_UNITS[name]}" if name in _UNITS else _title(name)


def _figure(value: float | int | bool | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"
