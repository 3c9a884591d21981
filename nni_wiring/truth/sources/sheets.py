"""Tables with a header as files: .csv, .csv.gz, .parquet; the benchmark that the header names."""

from __future__ import annotations

import csv
import io
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.sources.containers import read_compressed

_SIZE_LIMIT = 256 << 20  # bytes unpacked; the merged table has 5 MB
_COMMENT = re.compile(r"#\s*benchmark:\s*(\S+)[ \t]*\r?\n")
_UNNAMED = "nasbench201"  # whose tables had no such line


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
            known = ", ".join(self.header)[:300]
            raise BenchmarkError(f"{self.path}: no column {missing[0]!r}; it has: {known}")
        return self._read(names, most_rows)

    @abstractmethod
    def _read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        """The columns, all of which exist."""


def open_sheet(path: Path) -> Sheet:
    """Open a table by its content; BenchmarkError if it has no header."""
    with open(path, "rb") as file:
        parquet = file.read(4) == b"PAR1"
    return _ParquetSheet(path) if parquet else _TextSheet(path)


class _TextSheet(Sheet):
    """Comma-separated; ``# benchmark: NAME`` may stand on a line before the header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        raw = read_compressed(path, _SIZE_LIMIT)
        try:
            text = raw.decode("utf-8-sig")
            comment = _COMMENT.match(text)
            self.benchmark = comment[1] if comment else _UNNAMED
            self._body = text[comment.end() :] if comment else text
            self._first_line = 1 if comment else 0
            self.header = next(csv.reader(self._lines(), strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise BenchmarkError(f"{path}: not a table with a header ({error})") from error
        if len(set(self.header)) != len(self.header):
            raise BenchmarkError(f"{path}: a column name stands twice in its header")

    def _lines(self) -> io.StringIO:
        return io.StringIO(self._body, newline="")

    def _read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        positions = {name: self.header.index(name) for name in names}
        content: dict[str, list[Any]] = {name: [] for name in positions}
        rows = csv.reader(self._lines(), strict=True)
        try:
            next(rows)
            for count, row in enumerate(rows, start=1):
                if len(row) != len(self.header):
                    line = f"line {rows.line_num + self._first_line} has {len(row)} fields"
                    raise BenchmarkError(f"{self.path}: {line}, its header {len(self.header)}")
                if count > most_rows:
                    raise BenchmarkError(f"{self.path}: more than {most_rows} rows")
                for name, position in positions.items():
                    content[name].append(row[position])
        except csv.Error as error:
            raise BenchmarkError(f"{self.path}: not a table with a header ({error})") from error
        return content


class _ParquetSheet(Sheet):
    """Parquet; the schema's metadata may have the key ``benchmark``."""

    def __init__(self, path: Path) -> None:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        self.path = path
        try:
            with ParquetFile(path) as file:
                schema, metadata = file.schema_arrow, file.metadata
                self.header = list(schema.names)
                named = (schema.metadata or {}).get(b"benchmark", _UNNAMED.encode())
                self.benchmark = named.decode()
                groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
                self._rows = metadata.num_rows
                self._size = sum(group.total_byte_size for group in groups)
        except (ArrowException, OSError, ValueError, TypeError) as error:
            raise self._unreadable(error) from error

    def _read(self, names: list[str], most_rows: int) -> dict[str, list[Any]]:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        if self._rows > most_rows or self._size > _SIZE_LIMIT:
            raise BenchmarkError(f"{self.path}: {self._rows} rows, allowed: {most_rows}")
        try:
            with ParquetFile(self.path) as file:
                table = file.read(columns=names)
            return {name: table[name].to_pylist() for name in names}
        except (ArrowException, OSError, ValueError, TypeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> BenchmarkError:
        reason = " ".join(str(error).split())
        return BenchmarkError(f"{self.path}: not a readable parquet file ({reason})")
