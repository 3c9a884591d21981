"""Tables with a header as files: .csv, .csv.gz, .parquet; the benchmark that the header names."""

from __future__ import annotations

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.bounded import ChildError, in_child
from nni_wiring.files.messages import brief, printable, reason, shown
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.sources.containers import text_lines

_SIZE_LIMIT = 256 << 20  # bytes unpacked; the merged table has 5 MB
_COMMENT = re.compile(r"#\s*benchmark:\s*(\S+)[ \t]*\r?\n?")
_LONGEST_LINE = 1 << 20  # bytes
_LONGEST_FIELD = 1000  # characters, of the columns that are read
_UNNAMED = "nasbench201"  # whose tables had no such line


class CsvRows(Protocol):
    """A reader of the csv module."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class Sheet(ABC):
    """A file with named columns.

    Attributes:
        path: the file.
        benchmark: name of the benchmark that it says it is of.
        header: names of its columns.
    """

    path: Path
    benchmark: str
    header: list[str]

    def read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        """The columns of these names; text, or what a typed file holds.

        Raises:
            BenchmarkError: one is missing, there are more rows than cells, or the file is damaged.
        """
        missing = [name for name in names if name not in self.header]
        if missing:
            known = printable(", ".join(self.header[:30]), 300)
            raise BenchmarkError(
                f"{shown(self.path)}: no column {brief(missing[0])}; it has: {known}"
            )
        return self._read(names, most_rows)

    @abstractmethod
    def _read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        """The columns, all of which exist."""


def open_sheet(path: Path) -> Sheet:
    """Open a table by its content; BenchmarkError if it has no header."""
    try:
        with regular_file(path) as file:
            parquet = file.read(4) == b"PAR1"
    except OSError as error:
        raise BenchmarkError(f"{shown(path)}: cannot be read ({reason(error)})") from None
    return _ParquetSheet(path) if parquet else _TextSheet(path)


class _TextSheet(Sheet):
    """Comma-separated; ``# benchmark: NAME`` may stand on a line before the header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.benchmark = _UNNAMED
        self._first_line = 0
        with self._rows() as rows:
            self.header = next(rows, [])
        if len(set(self.header)) != len(self.header):
            raise BenchmarkError(f"{shown(path)}: a column name stands twice in its header")

    @contextmanager
    def _rows(self) -> Iterator[CsvRows]:
        """The rows from the header on; notes the comment before it."""
        try:
            with text_lines(self.path, _SIZE_LIMIT, _LONGEST_LINE) as lines:
                first = next(lines, "")
                comment = _COMMENT.fullmatch(first)
                if comment:
                    self.benchmark, self._first_line, first = comment[1], 1, next(lines, "")
                yield csv.reader(chain([first], lines), strict=True)
        except csv.Error as error:
            raise BenchmarkError(
                f"{shown(self.path)}: not a table with a header ({error})"
            ) from error

    def _read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        positions = {name: self.header.index(name) for name in names}
        content: dict[str, list[Any]] = {name: [] for name in positions}
        with self._rows() as rows:
            next(rows)
            for count, row in enumerate(rows, start=1):
                line = f"line {rows.line_num + self._first_line}"
                if len(row) != len(self.header):
                    what = f"{line} has {len(row)} fields, its header {len(self.header)}"
                    raise BenchmarkError(f"{shown(self.path)}: {what}")
                if count > most_rows:
                    raise BenchmarkError(f"{shown(self.path)}: more than {most_rows} rows")
                for name, position in positions.items():
                    if len(row[position]) > _LONGEST_FIELD:
                        what = f"{line} has a field of more than {_LONGEST_FIELD} characters"
                        raise BenchmarkError(f"{shown(self.path)}: {what}")
                    content[name].append(row[position])
        return content


class _ParquetSheet(Sheet):
    """Parquet; the schema's metadata may have the key ``benchmark``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        head = self._parsed("head")
        self.header = head["header"]
        self.benchmark = _UNNAMED if head["benchmark"] is None else head["benchmark"]
        self._count = head["rows"]
        if len(set(self.header)) != len(self.header):
            raise BenchmarkError(f"{shown(path)}: a column name stands twice in its header")

    def _read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        if self._count > most_rows:
            raise BenchmarkError(f"{shown(self.path)}: {self._count} rows, allowed: {most_rows}")
        content: dict[str, list[Any]] = self._parsed("columns", names)
        return content

    def _parsed(self, function: str, *arguments: object) -> Any:  # noqa: ANN401
        """The answer of a function of the parquet module, in a process of its own."""
        try:
            with regular_file(self.path) as file:
                return in_child("nni_wiring.truth.sources.parquet", function, file, *arguments)
        except (ChildError, OSError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            line = f"{shown(self.path)}: not a readable parquet file ({why})"
            raise BenchmarkError(line) from None
