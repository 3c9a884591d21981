"""Parquet files, read by pyarrow in a child process (``files.bounded``): answers plain values."""

from __future__ import annotations

from typing import Any, BinaryIO

import pyarrow
from pyarrow import types
from pyarrow.parquet import ParquetFile

_BENCHMARK = b"benchmark"


def head(stream: BinaryIO) -> dict[str, Any]:
    """The columns' names, the number of rows, and the benchmark that the schema names (or None)."""
    with ParquetFile(stream) as file:
        named = (file.schema_arrow.metadata or {}).get(_BENCHMARK)
        return {
            "header": list(file.schema_arrow.names),
            "rows": file.metadata.num_rows,
            "benchmark": None if named is None else named.decode(),
        }


def columns(stream: BinaryIO, names: list[str]) -> dict[str, list[Any]]:
    """The values of some columns.

    Raises:
        ValueError: a column of lists, structs or anything else that is no text and no number.
    """
    with ParquetFile(stream) as file:
        for name in names:
            kind = file.schema_arrow.field(name).type
            if not _is_plain(kind):
                raise ValueError(f"column {name!r} holds {kind}, expected texts or numbers")
        table = file.read(columns=names, use_threads=False)
        return {name: table[name].to_pylist() for name in names}


def _is_plain(kind: pyarrow.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_null(kind)
    )
