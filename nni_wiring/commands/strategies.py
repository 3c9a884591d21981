"""`strategies`: list the search strategies and their options."""

from __future__ import annotations

from typing import Any

import click

from nni_wiring.commands.output import json_option, print_json, print_table


@click.command()
@click.option("--options", "name", metavar="NAME", help="List every option that NAME takes.")
@json_option
def strategies(name: str | None, as_json: bool) -> None:
    """List the strategies: name, level, relaxation, selection, paper."""
    from nni_wiring.strategies.registry import STRATEGIES

    if name is not None:
        _options(name, as_json)
        return
    rows = [_row(strategy) for strategy in STRATEGIES.values()]
    if as_json:
        print_json(rows)
        return
    columns = ("name", "level", "relaxation", "selection", "paper")
    print_table("strategies", columns, [[row[column] for column in columns] for row in rows])


def _row(strategy: Any) -> dict[str, str]:
    fields = strategy.Settings.model_fields
    return {
        "name": strategy.name,
        "level": fields["optimisation"].default,
        "relaxation": strategy().relaxation.name,
        "selection": fields["selection"].default,
        "paper": strategy.paper,
    }


def _options(name: str, as_json: bool) -> None:
    from nni_wiring.search.config import make_config

    values = make_config({"strategy": name}).flat()
    if as_json:
        print_json(values)
        return
    print_table(
        f"options of {name}", ("option", "default"), [[key, repr(v)] for key, v in values.items()]
    )
