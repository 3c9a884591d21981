"""Lines of files from elsewhere: read one at a time, none longer than is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO


def bounded_lines(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """The lines of `file`, each with its newline (the last may have none).

    Args:
        file: stands at the beginning of a line.
        longest: bytes that a line may have, its newline included.

    Raises:
        ValueError: a longer line, named by its number from 1; no more than it is read.
    """
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) > longest:
            raise ValueError(f"line {number} has more than {longest} bytes")
        yield line
