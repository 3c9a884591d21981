"""`explain`: why a cell was chosen, edge by edge, and what each choice cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from nni_wiring.commands import completion
from nni_wiring.commands.output import json_option, print_json
from nni_wiring.errors import BenchmarkError, RunError, WiringError
from nni_wiring.explain import (
    Explanation,
    Run,
    over_runs,
    over_runs_sentences,
    sentences,
)
from nni_wiring.explain import explain as explain_one
from nni_wiring.files.messages import printable
from nni_wiring.service.resolve import resolve
from nni_wiring.truth import TruthTable, load_table


@click.command()
@click.argument(
    "targets",
    metavar="RUN_ID|ARCH...",
    nargs=-1,
    required=True,
    shell_complete=completion.run_or_experiment,
)
@click.option(
    "--benchmark",
    "name",
    metavar="NAME",
    help="Truth table; default as in `benchmark`.",
    shell_complete=completion.table,
)
@click.option(
    "--dataset",
    help="Data set to judge by; default: the run's own, or the table's.",
    shell_complete=completion.dataset,
)
@click.option(
    "--split",
    help="valid or test; default: valid, where the table has it.",
    shell_complete=completion.split,
)
@json_option
def explain(
    targets: tuple[str, ...],
    name: str | None,
    dataset: str | None,
    split: str | None,
    as_json: bool,
) -> None:
    """Tell edge by edge why a cell was chosen, and what each choice cost.

    RUN_ID is as in `analyze`, ARCH an arch string or index of the benchmark. Truth: the share of
    the regret that each edge accounts for (Shapley's value against the best cell), the accuracy
    of every other choice there, and the best repairs. For a run also: since when each edge is
    decided, by what margin, what the local cost said, and the regret of every epoch's cell. Over
    several runs: the mean share of each edge, with an interval.
    """
    table = _table(name)
    subjects = [subject for text in targets for subject in _subjects(text, table)]
    found = [explain_one(subject, table, dataset, split) for subject in subjects]
    shares = over_runs(found) if len(found) > 1 else ()
    if as_json and len(found) == 1:
        print_json(found[0].to_json())
    elif as_json:
        print_json(
            {
                "explanations": [one.to_json() for one in found],
                "over_runs": [asdict(share) for share in shares],
            }
        )
    else:
        _print(found)
        for line in over_runs_sentences(shares):
            click.echo(printable(line))


def _table(name: str | None) -> TruthTable | None:
    """The table to judge by; the default one may be missing, with a warning."""
    try:
        return load_table(name)
    except BenchmarkError as error:
        if name is not None:
            raise
        click.echo(f"warning: no truth table: {error}", err=True)
        return None


def _subjects(text: str, table: TruthTable | None) -> Sequence[Run | str]:
    """The runs that `text` names, else the cell.

    Raises:
        RunError: neither a run nor written as a cell.
    """
    try:
        return resolve(text)
    except RunError as unknown:
        if "|" in text or text.strip().isdecimal() or _is_cell(text, table):
            return [text]
        raise RunError(f"{unknown}; nor is it a cell's arch string or index") from None


def _is_cell(text: str, table: TruthTable | None) -> bool:
    try:
        return table is not None and table.index_of(text) >= 0
    except WiringError:
        return False


def _print(found: list[Explanation]) -> None:
    for one in found:
        for line in sentences(one):
            click.echo(printable(line))
        if len(found) > 1:
            click.echo()
