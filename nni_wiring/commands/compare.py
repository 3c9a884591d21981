"""`compare`: one table and one figure over runs, with published rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nni_wiring.commands.analyze import (
    analysed,
    common_report_folder,
    print_comparison,
)
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.commands.run_ids import run_ids_argument
from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.messages import printable

if TYPE_CHECKING:
    from nni_wiring.report.analysis import RunAnalysis
    from nni_wiring.report.axes import Axis
    from nni_wiring.report.comparison import Comparison, ComparisonRow
    from nni_wiring.report.paired import Paired


@click.command()
@run_ids_argument
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

    RUN_ID is as in `analyze`. Means, standard deviations and 95 % intervals are over finished
    runs, each mean beside that of as many random cells. Runs of one strategy are grouped by the
    settings in which they differ; a continuous one is an axis. Methods are tested against each
    other over the seeds that they share: an exact sign-flip test per pair, and for three or more
    methods Friedman's test with the critical difference of mean ranks and its diagram.
    """
    runs = analysed(run_ids)
    from nni_wiring.report.comparison import compare as metrics_of
    from nni_wiring.report.html import make_folder
    from nni_wiring.report.sections.notes import notes_of
    from nni_wiring.report.summary import summarise, summary_json

    metrics = metrics_of(runs)
    if not metrics:
        raise RunError("no run has a derived cell with a truth yet: nothing to compare")
    folder = out or common_report_folder(runs)
    make_folder(folder)
    told = [_told(runs, one, folder) for one in metrics]
    if csv_path is not None:
        _write_csv(csv_path, runs, metrics)
    if as_json:
        summary = summary_json(summarise(runs))
        print_json({"summary": summary, "metrics": [one.json() for one in told]})
        return
    print_comparison(runs)
    for one in told:
        _print_paired(one.paired, one.metric.title)
        _print_axes(one.axes, one.metric.title)
    for note in dict.fromkeys(note for run in runs if run.truth for note in notes_of(run)):
        click.echo(f"note: {printable(note)}")
    for path in (path for one in told for path in (one.figure, one.ranks_figure) if path):
        click.echo(f"figure: {path}")


class Told(NamedTuple):
    """The comparison in one metric, and where its pictures are."""

    metric: Comparison
    rows: list[ComparisonRow]
    paired: Paired
    axes: list[Axis]
    figure: Path
    ranks_figure: Path | None

    def json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "dataset": self.metric.dataset,
            "split": self.metric.split,
            "figure": str(self.figure),
            "rows": [row._asdict() for row in self.rows],
            "paired": self.paired.json(),
            "ranks_figure": None if self.ranks_figure is None else str(self.ranks_figure),
            "axes": [axis.json() for axis in self.axes],
        }


def _told(runs: Sequence[RunAnalysis], one: Comparison, folder: Path) -> Told:
    """Compare in one metric, and save the pictures into ``folder``."""
    from nni_wiring.report.axes import axes_of
    from nni_wiring.report.comparison import comparison_picture, comparison_rows
    from nni_wiring.report.html import save_pictures
    from nni_wiring.report.paired import paired_tests, ranks_picture

    paired = paired_tests(runs, one.dataset, one.split)
    ranks = ranks_picture(paired, f"ranks_{one.dataset}_{one.split}", one.title)
    pictures = [comparison_picture(runs, one), *([] if ranks is None else [ranks])]
    paths = [folder / f"{saved.name}.png" for saved in save_pictures(pictures, folder)]
    return Told(
        one,
        comparison_rows(runs, one),
        paired,
        axes_of(runs, one.dataset, one.split),
        paths[0],
        None if ranks is None else paths[1],
    )


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


def _print_axes(axes: Sequence[Axis], title: str) -> None:
    """The accuracy along every continuous setting."""
    for axis in axes:
        rows: list[list[object]] = [
            [
                f"{level.value:g}",
                level.runs,
                f"{level.mean:.2f}",
                "" if level.low is None else f"[{level.low:.2f}, {level.high:.2f}]",
            ]
            for level in axis.levels
        ]
        columns = [axis.setting, "runs", "mean", "95 % interval"]
        print_table(f"{title}: {axis.method} along {axis.setting}", columns, rows)
        if axis.rho is not None:
            where = "within seeds" if axis.within_seeds else "over all runs"
            click.echo(f"rank correlation {axis.rho:+.2f}, p = {axis.p:.3g} (permuted {where})")


def _write_csv(path: Path, runs: Sequence[RunAnalysis], metrics: Sequence[Comparison]) -> None:
    import pandas as pd

    from nni_wiring.report.comparison import comparison_rows

    rows = [
        {"dataset": one.dataset, "split": one.split, **row._asdict()}
        for one in metrics
        for row in comparison_rows(runs, one)
    ]
    replace_file(path, pd.DataFrame(rows).to_csv(index=False).encode())
