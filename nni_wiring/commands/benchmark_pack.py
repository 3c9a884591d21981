"""`benchmark pack`: a complete build as one small file."""

from __future__ import annotations

from pathlib import Path

import click

from nni_wiring.commands.output import json_option, print_json


@click.command("pack")
@click.argument("name")
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of the build, with rows.jsonl or rows.jsonl.gz; default: builds/NAME in the cache.",
)
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder that NAME.npz is written to; default: this one.",
)
@click.option("--seeds", help="Those to pack, as 1,2; default: all of the build's.")
@json_option
def pack_command(
    name: str, folder: Path | None, to: Path, seeds: str | None, as_json: bool
) -> None:
    """Write the table NAME of a complete build, or of seeds that are, as one small file, NAME.npz.

    It is a table file as any other: in tables/ of the cache folder, or in truth/shipped of this
    package, `--benchmark NAME` uses it. Accuracies are rounded to hundredths of a point; it holds
    the command, the versions and the checksums of the build.
    """
    from nni_wiring.building.folder import build_path
    from nni_wiring.building.pack import pack
    from nni_wiring.truth.storage import read_table

    path = pack(name, folder or build_path(name), to, seeds)
    about, size = read_table(path).info, path.stat().st_size
    keys = ("cells", "classes", "trainings", "command", "rows_sha256")
    answer = {"file": str(path), "bytes": size, **{key: about[key] for key in keys}}
    if as_json:
        print_json(answer)
        return
    click.echo(
        f"{path}: {size:,} bytes, {about['cells']} cells from {about['trainings']} trainings\n"
        f"built by: {about['command']}\nsha256 of the rows: {about['rows_sha256']}"
    )
