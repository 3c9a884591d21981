"""`select`: read another cell off the supernet of a finished run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.interrupts import goes_on_with, this_command
from nni_wiring.commands.names import check_names
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.commands.progress import progress
from nni_wiring.commands.set_option import set_option
from nni_wiring.imports import large_imports
from nni_wiring.runs.result import ReadOff, SelectionResult
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.assignments import parse_assignments
from nni_wiring.service.resolve import load_run


@click.command()
@click.argument("run_id", shell_complete=completion.run)
@click.option(
    "--method",
    default="perturbation",
    show_default=True,
    help="A selection's name.",
    shell_complete=completion.selection,
)
@set_option("A setting of the selection: tune_epochs=5, batches=4, samples=20, ...")
@json_option
def select(run_id: str, method: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """Read a cell off the trained supernet of RUN_ID by another selection.

    The run itself stays as it is; the result and its trace go to selections/METHOD in its folder,
    and an interrupted selection goes on where it stopped.
    """
    settings = parse_assignments(assignments)
    check_names({"selection": method})
    run = load_run(run_id)
    with large_imports():
        from nni_wiring.search.selecting import select_again

    again = this_command()
    with goes_on_with(lambda: [again]), progress(f"{method} on {run.run_id}") as tell:
        result = select_again(run, method, settings, tell)
    if as_json:
        print_json(result.to_json())
        return
    _print(run, result)


def _print(run: RunFolder, result: SelectionResult) -> None:
    rows = [_row(result.selection, result)]
    before = run.search_result()
    if before is not None:
        own = replace(before, truth_dataset=result.truth_dataset)
        rows.insert(0, _row(f"{before.selection or 'search'} (the run's own)", own))
    title = f"cells of run {run.run_id}; true {result.truth_dataset} accuracy, %"
    print_table(title, ["selection", "cell", "valid", "test"], rows)
    for entry in result.details.get("trace", []):
        masked = "  ".join(f"{name} {value:.2f}" for name, value in entry["masked"].items())
        what = (
            f"edge {entry['edge']}: {entry['chosen']}"
            if "edge" in entry
            else f"node {entry['node']} drops {entry['dropped']}"
        )
        click.echo(f"epoch {entry['epoch']}  {what}  (accuracy without: {masked})")
        if entry.get("tie"):
            click.echo(f"  a tie: {', '.join(entry['tie'])} differs by less than its uncertainty")


def _row(name: str | None, found: ReadOff) -> list[Any]:
    return [name, found.arch, found.true_accuracy("valid"), found.true_accuracy("test")]
