"""`strategies`: list the search strategies and their options."""

from __future__ import annotations

import click

from nni_wiring.commands import completion
from nni_wiring.commands.names import allowed_names, check_names
from nni_wiring.commands.output import json_option, print_json, print_table

COLUMNS = ("name", "level", "relaxation", "selection", "paper")


@click.command()
@click.option(
    "--options",
    "name",
    metavar="NAME",
    help="List every option that NAME takes.",
    shell_complete=completion.strategy,
)
@click.option(
    "--space",
    metavar="SPACE",
    help="With --options: in this space, not nasbench201.",
    shell_complete=completion.space,
)
@click.option("--relaxations", is_flag=True, help="List the relaxations that strategies are of.")
@json_option
def strategies(name: str | None, space: str | None, relaxations: bool, as_json: bool) -> None:
    """List the strategies: name, level, relaxation, selection, paper."""
    from nni_wiring.strategies.listing import relaxation_rows, strategy_rows

    if space is not None and name is None:
        raise click.UsageError("--space goes with --options")
    if name is not None:
        _options(name, space, as_json)
        return
    rows = relaxation_rows() if relaxations else strategy_rows()
    if as_json:
        print_json(rows)
        return
    columns = ("name", "summary") if relaxations else COLUMNS
    title = "relaxations" if relaxations else "strategies"
    print_table(title, columns, [[row[column] for column in columns] for row in rows])


def _options(name: str, space: str | None, as_json: bool) -> None:
    check_names({"strategy": name, "space": space})
    from pydantic import BaseModel

    from nni_wiring.commands.option_rows import OptionRow, option_rows
    from nni_wiring.search.config import make_config
    from nni_wiring.search.settings import DataSettings, RunSettings, ThetaSettings

    config = make_config({"strategy": name, "space": space})
    flat = config.flat()
    if as_json:
        print_json(flat)
        return
    models: dict[str, type[BaseModel]] = {
        "run": RunSettings,
        "data": DataSettings,
        "weights": ThetaSettings,
        "space": type(config.space_settings),
        "strategy": type(config.method),
    }
    names = allowed_names()
    rows = [
        [row.option, row.type, repr(row.default), row.allowed, whose, row.meaning]
        for whose, model in models.items()
        for row in option_rows(model, flat, names)
    ]
    columns = (*OptionRow._fields[:-1], "of the", "meaning")
    print_table(f"options of {name} in {config.run.space}", columns, rows)
