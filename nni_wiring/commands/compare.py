"""`compare`: one table and one figure over runs, with published rows."""

from __future__ import annotations

from pathlib import Path

import click

from nni_wiring.commands.analyze import (
    analysed,
    common_report_folder,
    print_comparison,
)
from nni_wiring.commands.output import json_option, print_json
from nni_wiring.errors import RunError
from nni_wiring.report.comparison import compare as metrics_of
from nni_wiring.report.comparison import comparison_picture, comparison_rows
from nni_wiring.report.html import make_folder, save_pictures
from nni_wiring.report.sections.notes import notes_of
from nni_wiring.report.summary import summarise, summary_json


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the figure; default: report/ in the folder that holds the runs.",
)
@json_option
def compare(run_ids: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Set runs side by side: strategies, published results, best and mean random cell.

    RUN_ID is as in `analyze`. Means and standard deviations are over finished runs.
    """
    runs = analysed(run_ids)
    metrics = metrics_of(runs)
    if not metrics:
        raise RunError("no run has a derived cell with a truth yet: nothing to compare")
    folder = out or common_report_folder(runs)
    make_folder(folder)
    pictures = save_pictures([comparison_picture(runs, one) for one in metrics], folder)
    paths = [folder / f"{picture.name}.png" for picture in pictures]
    if as_json:
        print_json(
            {
                "summary": summary_json(summarise(runs)),
                "metrics": [
                    {
                        "dataset": one.dataset,
                        "split": one.split,
                        "figure": str(path),
                        "rows": [row._asdict() for row in comparison_rows(runs, one)],
                    }
                    for one, path in zip(metrics, paths, strict=True)
                ],
            }
        )
        return
    print_comparison(runs)
    for note in dict.fromkeys(note for run in runs if run.truth for note in notes_of(run)):
        click.echo(f"note: {note}")
    for path in paths:
        click.echo(f"figure: {path}")
