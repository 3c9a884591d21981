"""`spaces`: list the search spaces and their options."""

from __future__ import annotations

import click

from nni_wiring.commands import completion
from nni_wiring.commands.output import json_option, print_json, print_table


@click.command()
@click.option(
    "--options",
    "name",
    metavar="NAME",
    help="List the options of the space NAME.",
    shell_complete=completion.space,
)
@json_option
def spaces(name: str | None, as_json: bool) -> None:
    """List the search spaces: name, number of cells, whether all are tabulated, summary."""
    from search_spaces.registry import SPACES

    if name is not None:
        _options(name, as_json)
        return
    rows = [
        {
            "name": entry.name,
            "cells": entry.cells(),
            "tabulated": entry.tabulated(),
            "summary": entry.summary,
            "operations": {edge: list(names) for edge, names in entry.operations().items()},
        }
        for entry in SPACES.values()
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("name", "cells", "tabulated", "summary")
    print_table("search spaces", columns, [[row[column] for column in columns] for row in rows])


def _options(name: str, as_json: bool) -> None:
    from nni_wiring.commands.option_rows import OptionRow, option_rows
    from search_spaces.registry import space_entry

    settings = space_entry(name).settings
    values = settings().model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    rows = [
        [row.option, row.type, repr(row.default), row.allowed, row.meaning]
        for row in option_rows(settings, values)
    ]
    print_table(f"options of {name}", OptionRow._fields, rows)
