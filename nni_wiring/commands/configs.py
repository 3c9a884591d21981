"""`configs`: the experiments for NNI that come with the package."""

from __future__ import annotations

from pathlib import Path

import click

from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.service.configs import config_summaries, write_config


@click.command()
@click.argument("name", required=False)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("."),
    help="Folder of the copy, in which its trials run; default: this one.",
)
@json_option
def configs(name: str | None, folder: Path, as_json: bool) -> None:
    """List the files that `nnictl create --config` takes, or copy one of them.

    With NAME the copy is NAME.yml in this folder. A file that is there is never replaced.
    """
    if name is None:
        known = config_summaries()
        if as_json:
            print_json(known)
        else:
            print_table("experiments for NNI", ("name", "summary"), list(known.items()))
        return
    path = write_config(name, folder)
    if as_json:
        print_json({"path": str(path)})
        return
    click.echo(f"wrote {path}")
    if name != "algorithms":  # the list of tuners, which is no experiment
        click.echo(f"start it:  nnictl create --config {path} --port 8080")
