"""A table as a terminal shows it: in columns where every word fits, else row by row."""

from __future__ import annotations

import textwrap
from collections.abc import Container, Iterator, Sequence

_FRAME = 3  # characters that a column takes beside its text; one more closes the table
_INDENT = "  "


def show(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pale: Container[int] = (),
) -> None:
    """Print a table on stdout, as wide as the terminal is; no word is cut in two by a column."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    widths = column_widths(columns, rows, console.width)
    if widths is None:
        for text in row_by_row(title, columns, rows, console.width):
            console.print(text, soft_wrap=True)
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, width=width, overflow="fold")
    for place, line in enumerate(rows):
        table.add_row(*line, style="dim" if place in pale else None)
    console.print(table)


def column_widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> list[int] | None:
    """Characters of every column: at least its longest word, at most its longest text.

    The widest columns give way first. None where the longest words do not fit into ``width``.
    """
    cells = [[column, *(row[place] for row in rows)] for place, column in enumerate(columns)]
    least = [max((len(word) for text in own for word in text.split()), default=1) for own in cells]
    most = [max(least[place], *map(len, own)) for place, own in enumerate(cells)]
    room = width - _FRAME * len(columns) - 1
    if sum(least) > room:
        return None
    limit = max(most, default=0)
    while True:
        widths = [max(low, min(high, limit)) for low, high in zip(least, most, strict=True)]
        if sum(widths) <= room:
            return widths
        limit -= 1


def row_by_row(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> Iterator[str]:
    """Lines of at most ``width`` characters: of every row a line a value, each behind its column's
    name; empty ones are left out.
    """
    names = max(map(len, columns[1:]), default=0)
    yield from textwrap.wrap(title, width)
    for first, *others in rows:
        yield ""
        yield from textwrap.wrap(f"{columns[0]} {first}", width)
        for name, value in zip(columns[1:], others, strict=True):
            label = f"{_INDENT}{name:<{names}}  "
            yield from textwrap.wrap(
                value, width, initial_indent=label, subsequent_indent=" " * len(label)
            )
