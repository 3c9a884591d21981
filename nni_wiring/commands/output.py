"""Printing for commands: strict JSON, and tables that are drawn only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Container, Sequence

import click

from nni_wiring.commands.tables import show
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
    if on_terminal():
        show(title, columns, texts, pale)
        return
    click.echo(f"# {title}")
    for line in (columns, *texts):
        click.echo("\t".join(line))


def on_terminal() -> bool:
    """True where stdout is a terminal."""
    return sys.stdout.isatty()
