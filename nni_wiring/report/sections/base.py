"""The parts that a section of a report is made of, and what a section is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from matplotlib.figure import Figure

from nni_wiring.figures.palette import look
from nni_wiring.report.analysis import RunAnalysis

JSON = dict[str, Any]


class Finding(NamedTuple):
    """One sentence with its numbers; `topic` is a short heading such as "Growing (P1)"."""

    topic: str
    text: str


class Tile(NamedTuple):
    """One number to read at a glance."""

    value: str
    label: str


class Table(NamedTuple):
    """A table of texts; None stands for what is missing.

    Attributes:
        title: its heading.
        columns, rows: texts, the first column names the row.
        own: places of the rows that stand out.
        note: a line below it.
        words: whether the other columns hold words rather than numbers.
        page_only: whether only the page shows it, folded, and not the terminal.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    own: frozenset[int] = frozenset()
    note: str = ""
    words: bool = False
    page_only: bool = False


class Picture(NamedTuple):
    """One picture of a report; `name` is its file name without `.png`."""

    name: str
    caption: str
    figure: Figure


class Section(ABC):
    """One part of a report, in a file of its own: an instance is its data.

    To add one: write a frozen dataclass that derives from this and register it. The page, the text
    of `analyze` and `analyze --json` show what it offers.

    Attributes:
        name: unique among the sections.
        title: heading on the page; empty for none.
        empty: its keys in `analyze --json`, with the values of a run that it has nothing to say of.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    empty: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    @abstractmethod
    def of(cls, run: RunAnalysis) -> Section | None:
        """The section's data; None where the run has none."""

    def notes(self) -> list[str]:
        """Lines that must not be overlooked."""
        return []

    def lines(self) -> list[Finding]:
        """Cells and the like, spelt out."""
        return []

    def tiles(self) -> list[Tile]:
        """Numbers to read at a glance, on the page only."""
        return []

    def findings(self) -> list[Finding]:
        """Sentences."""
        return []

    def tables(self) -> list[Table]:
        """Tables."""
        return []

    def pictures(self) -> list[Picture]:
        """Pictures, on the page only; drawn when asked for."""
        return []

    def json(self) -> JSON:
        """Its part of `analyze --json`: the keys of `empty`."""
        return {}


def of_kind(text: str, kind: str, kinds: int) -> str:
    """A topic or heading, with the kind of cell where a run has several."""
    return text if kinds == 1 else f"{text}, {kind}"


def picture_name(name: str, place: int, kinds: int) -> str:
    """A picture's file name, numbered where a run has several kinds of cell."""
    return name if kinds == 1 else f"{name}_{place + 1}"


def operation_label(operation: str) -> str:
    """An operation as pictures and tables call it."""
    return look(operation).label.replace(r"\$", "$")
