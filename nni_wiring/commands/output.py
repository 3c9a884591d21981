"""Printing for commands: strict JSON, and tables that are drawn only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

import click

from nni_wiring.files.messages import printable

#: ``--json`` of every command that answers with data; the parameter is ``as_json``.
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(data: object) -> None:
    """Print strict JSON on one line; a NaN raises ValueError instead of being written."""
    click.echo(json.dumps(data, allow_nan=False))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    pale: Container[int] = (),
) -> None:
    """Print rows under a title; None is written as "missing".

    On a terminal the table is drawn; elsewhere it is one tab-separated line a row.

    Args:
        title, columns, rows: the table.
        pale: places of rows that a terminal shows in grey.
    """
    texts = [["missing" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        click.echo(f"# {title}")
        for line in (columns, *texts):
            click.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for place, line in enumerate(texts):
        table.add_row(*line, style="dim" if place in pale else None)
    Console(markup=False).print(table)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields a function of done and total. Silent off a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title)
        yield lambda done, total: progress.update(task, completed=done, total=total)
