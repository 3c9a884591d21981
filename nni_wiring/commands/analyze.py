"""`analyze`: explain runs, with numbers against the truth and against a random cell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nni_wiring.commands.failed_trials import allow_failed_option, refuse_failed
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.commands.run_ids import run_ids_argument
from nni_wiring.errors import BenchmarkError, RunError
from nni_wiring.files.messages import printable
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.resolve import named_experiment, resolve

if TYPE_CHECKING:
    from nni_wiring.report.analysis import RunAnalysis
    from nni_wiring.report.sections import Section

COLUMNS = ("method", "runs", "mean", "std", "95 % interval", "p, random cells (Holm)", "source")


@click.command()
@run_ids_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report; default: report/ in the folder of the run, or of all the runs.",
)
@click.option("--figures", is_flag=True, help="Write the pictures as PDF beside PNG.")
@allow_failed_option
@json_option
def analyze(
    run_ids: tuple[str, ...], out: Path | None, figures: bool, allow_failed: bool, as_json: bool
) -> None:
    """Explain finished or running searches.

    RUN_ID is the id of a run, an NNI trial or an NNI experiment (all its trials), a run's folder,
    or "latest". For each run: the derived cell, its true accuracy, its topology against a random
    cell, the wiring patterns and the local costs; over several runs mean and spread by strategy
    beside published results. A report (index.html and pictures) is written for each run, and one
    over all of them. All is printed, but it fails if trials of an experiment failed or were killed
    (unless --allow-failed).
    """
    runs = analysed(run_ids)
    experiments = [found for found in map(named_experiment, run_ids) if found is not None]
    pages, overview = write_reports(runs, out, pdf=figures)
    _print(runs, pages, overview, as_json)
    if not allow_failed:
        refuse_failed(*experiments)


def _print(
    runs: Sequence[RunAnalysis], pages: dict[Path, Path], overview: Path | None, as_json: bool
) -> None:
    """Print all runs, for a reader or as JSON."""
    if as_json:
        from nni_wiring.report.edge_shares import edge_shares
        from nni_wiring.report.sections import run_json
        from nni_wiring.report.summary import summarise, summary_json

        print_json(
            {
                "runs": [run_json(run, _text(pages.get(run.facts.folder))) for run in runs],
                "summary": summary_json(summarise(runs)),
                "over_runs": {
                    one.method: [asdict(share) for share in one.shares] for one in edge_shares(runs)
                },
            }
        )
        return
    for run in runs:
        print_run(run, pages.get(run.facts.folder))
    if len(runs) > 1:
        print_comparison(runs)
        print_edge_shares(runs)
    if overview is not None:
        click.echo(f"report over all runs: {overview}")


def resolve_all(run_ids: Sequence[str]) -> list[RunFolder]:
    """The runs that `run_ids` name, each once, in order.

    Raises:
        RunError: an id names nothing.
    """
    found: dict[Path, RunFolder] = {}
    for run_id in run_ids:
        for run in resolve(run_id):
            found.setdefault(run.path.resolve(), run)
    return list(found.values())


def analysed(run_ids: Sequence[str]) -> list[RunAnalysis]:
    """The runs that `run_ids` name, each explained by its own benchmark's table; a table that
    cannot be loaded is a warning.
    """
    folders = resolve_all(run_ids)  # first: a mistyped id waits for no import
    from nni_wiring.report.analysis import analyse_run, recorded_table

    runs, warned = [], set()
    for folder in folders:
        try:
            table = recorded_table(folder)
        except BenchmarkError as error:
            table = None
            if str(error) not in warned:
                click.echo(f"warning: no truth table: {error}", err=True)
            warned.add(str(error))
        runs.append(analyse_run(folder, table))
    return runs


def write_reports(
    runs: Sequence[RunAnalysis], out: Path | None, *, pdf: bool = False
) -> tuple[dict[Path, Path], Path | None]:
    """Write the page of every run that has an epoch and, over several runs, the overview.

    pdf: whether the pictures of runs are written as PDF, too.

    Returns the pages by the run's folder, and the overview's page (None for a single run).

    Raises:
        RunError: a folder cannot be written.
    """
    from nni_wiring.report.html import write_overview, write_report

    single = len(runs) == 1
    pages: dict[Path, Path] = {}
    for place, run in enumerate(runs):
        if not run.records:
            continue
        folder = run.facts.report
        if out is not None:  # run ids may be equal in different folders: a number keeps them apart
            folder = out if single else out / f"{place}-{run.facts.run_id}"
        pages[run.facts.folder] = write_report(run, folder, pdf=pdf)
    if single:
        return pages, None
    return pages, write_overview(runs, pages, out or common_report_folder(runs))


def common_report_folder(runs: Sequence[RunAnalysis]) -> Path:
    """`report` in the innermost folder that holds all the runs."""
    shared = Path(os.path.commonpath([run.facts.folder.resolve() for run in runs]))
    if shared == Path(shared.anchor):
        raise RunError("the runs lie in folders without a common parent: choose one with --out")
    return shared / "report"


def print_run(run: RunAnalysis, page: Path | None) -> None:
    """Print one run for a reader: every section's lines, tables and sentences."""
    from nni_wiring.report.sections import run_sections

    facts = run.facts
    planned = f" of {facts.planned}" if facts.planned else ""
    click.secho(f"run {facts.run_id}", bold=True)
    seed = "unknown" if facts.seed is None else facts.seed
    click.echo(
        f"{printable(str(facts.strategy), 80)} on {printable(str(facts.space), 80)}, data "
        f"{printable(str(facts.data), 80)}, seed {printable(str(seed), 80)}, "
        f"{len(run.records)}{planned} epochs, {facts.status}"
    )
    if facts.error:
        click.secho(f"error: {printable(facts.error)}", fg="red")
    for section in run_sections(run):
        print_section(section)
    if page is not None:
        click.echo(f"report: {page}")
    if facts.tensorboard is not None:
        click.echo(f"tensorboard: {facts.tensorboard}")
    click.echo()


def print_section(section: Section) -> None:
    """Print what a section has for a terminal; what a table lacks is named missing."""
    for note in section.notes():
        click.echo(f"note: {printable(note)}")
    for topic, text in (*section.lines(), *section.findings()):
        click.secho(f"{topic}: ", bold=True, nl=False)
        click.echo(printable(text))
    for table in section.tables():
        if not table.page_only:
            print_table(table.title, table.columns, table.rows)
            if table.note:
                click.echo(table.note)


def print_comparison(runs: Sequence[RunAnalysis]) -> None:
    """Print strategies beside published rows, the best cell and the mean random cell."""
    from nni_wiring.report.comparison import compare, comparison_rows

    comparisons = compare(runs)
    if not comparisons:
        click.echo("no run has a truth yet: nothing to compare")
    for one in comparisons:
        found = comparison_rows(runs, one)
        rows: list[list[object]] = [
            [
                row.label,
                row.runs if row.runs is not None else "",
                f"{row.mean:.2f}",
                "" if row.std is None else f"{row.std:.2f}",
                "" if row.low is None else f"[{row.low:.2f}, {row.high:.2f}]",
                "" if row.p_random_holm is None else f"{row.p_random_holm:.3g}",
                row.source,
            ]
            for row in found
        ]
        unit = one.benchmark.measure(one.dataset).label
        title = f"{one.title}, {unit} (finished runs)"
        pale = [place for place, row in enumerate(found) if not row.comparable]
        print_table(title, COLUMNS, rows, pale)


def print_edge_shares(runs: Sequence[RunAnalysis]) -> None:
    """Print which edges lose the regret on average, method by method, worst edge first."""
    from nni_wiring.report.edge_shares import edge_shares

    for one in edge_shares(runs):
        title = f"{one.method}: share of the regret by edge, {one.metric}, percent points"
        rows: list[list[object]] = [
            [share.edge, f"{share.mean:.2f}", f"[{share.low:.2f}, {share.high:.2f}]", share.runs]
            for share in one.shares
        ]
        print_table(title, ("edge", "mean", "95 % interval", "runs"), rows)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
