"""`spaces`: list the search spaces."""

from __future__ import annotations

import click

from nni_wiring.commands.output import json_option, print_json, print_table


@click.command()
@json_option
def spaces(as_json: bool) -> None:
    """List the search spaces: name, number of cells, whether all are tabulated, summary."""
    from search_spaces.registry import SPACES

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
