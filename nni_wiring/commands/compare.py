"""`compare`: one table and one figure over runs, with published rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nni_wiring.commands.analyze import (
    analysed,
    common_report_folder,
    print_comparison,
)
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.messages import printable

if TYPE_CHECKING:
    from nni_wiring.report.analysis import RunAnalysis
    from nni_wiring.report.comparison import Comparison
    from nni_wiring.report.paired import Paired


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the figure; default: report/ in the folder that holds the runs.",
)
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the rows of all metrics to this file.",
)
@json_option
def compare(
    run_ids: tuple[str, ...], out: Path | None, csv_path: Path | None, as_json: bool
) -> None:
    """Set runs side by side: strategies, published results, best and mean random cell.

    RUN_ID is as in `analyze`. Means and standard deviations are over finished runs. Methods are
    tested against each other over the seeds that they share: an exact sign-flip test per pair,
    and for three or more methods Friedman's test with the critical difference of mean ranks.
    """
    from nni_wiring.report.comparison import compare as metrics_of
    from nni_wiring.report.comparison import comparison_picture
    from nni_wiring.report.html import make_folder, save_pictures

    runs = analysed(run_ids)
    metrics = metrics_of(runs)
    if not metrics:
        raise RunError("no run has a derived cell with a truth yet: nothing to compare")
    folder = out or common_report_folder(runs)
    make_folder(folder)
    pictures = save_pictures([comparison_picture(runs, one) for one in metrics], folder)
    if csv_path is not None:
        _write_csv(csv_path, runs, metrics)
    paths = [folder / f"{picture.name}.png" for picture in pictures]
    if as_json:
        print_json(_as_json(runs, metrics, paths))
        return
    _print(runs, metrics, paths)


def _as_json(
    runs: Sequence[RunAnalysis], metrics: Sequence[Comparison], paths: Sequence[Path]
) -> dict[str, Any]:
    from nni_wiring.report.comparison import comparison_rows
    from nni_wiring.report.paired import paired_tests
    from nni_wiring.report.summary import summarise, summary_json

    return {
        "summary": summary_json(summarise(runs)),
        "metrics": [
            {
                "dataset": one.dataset,
                "split": one.split,
                "figure": str(path),
                "rows": [row._asdict() for row in comparison_rows(runs, one)],
                "paired": paired_tests(runs, one.dataset, one.split).json(),
            }
            for one, path in zip(metrics, paths, strict=True)
        ],
    }


def _print(
    runs: Sequence[RunAnalysis], metrics: Sequence[Comparison], paths: Sequence[Path]
) -> None:
    from nni_wiring.report.paired import paired_tests
    from nni_wiring.report.sections.notes import notes_of

    print_comparison(runs)
    for one in metrics:
        _print_paired(paired_tests(runs, one.dataset, one.split), one.title)
    for note in dict.fromkeys(note for run in runs if run.truth for note in notes_of(run)):
        click.echo(f"note: {printable(note)}")
    for path in paths:
        click.echo(f"figure: {path}")


def _print_paired(found: Paired, title: str) -> None:
    """The tests over common seeds; nothing where no two methods share one."""
    rows: list[list[object]] = [
        [
            f"{one.first} - {one.second}",
            one.seeds,
            f"{one.mean:+.2f}",
            "" if one.low is None else f"[{one.low:+.2f}, {one.high:+.2f}]",
            f"{one.p:.3g}" + ("" if one.decidable else " (too few seeds to tell)"),
            f"{one.adjusted:.3g}",
        ]
        for one in found.differences
    ]
    if rows:
        columns = ["methods", "seeds", "mean, points", "95 % interval", "p", "p (Holm)"]
        print_table(f"{title}: paired over seeds, exact sign flips", columns, rows)
    if found.ranks is not None:
        ranks = ", ".join(
            f"{name} {rank:.2f}"
            for name, rank in sorted(found.ranks.ranks.items(), key=lambda item: item[1])
        )
        click.echo(
            f"mean ranks over {found.ranks.seeds} seeds: {ranks}; "
            f"Friedman p = {found.ranks.p:.3g}, "
            f"critical difference {found.ranks.critical_difference:.2f}"
        )


def _write_csv(path: Path, runs: Sequence[RunAnalysis], metrics: Sequence[Comparison]) -> None:
    import pandas as pd

    from nni_wiring.report.comparison import comparison_rows

    rows = [
        {"dataset": one.dataset, "split": one.split, **row._asdict()}
        for one in metrics
        for row in comparison_rows(runs, one)
    ]
    replace_file(path, pd.DataFrame(rows).to_csv(index=False).encode())
