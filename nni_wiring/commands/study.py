"""`study`: repeat a measurement of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.interrupts import goes_on_with, this_command
from nni_wiring.commands.names import check_names
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.commands.progress import steps
from nni_wiring.commands.set_option import set_option
from nni_wiring.search.assignments import parse_assignments
from nni_wiring.service.resolve import resolve

if TYPE_CHECKING:
    from nni_wiring.studies.frame import Size, Study


@click.command()
@click.argument("name", required=False, shell_complete=completion.study)
@click.option("--data", help="As in `search`; default digits.", shell_complete=completion.data)
@click.option("--seeds", type=click.IntRange(min=1), help="How many seeds; 1, 2, ...")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of the study's searches.")
@click.option(
    "--runs",
    multiple=True,
    metavar="RUN_ID",
    shell_complete=completion.run,
    help="A run that the study measures (landscape), as `analyze` takes it; may be repeated.",
)
@set_option("Any option of the study or of its searches; values are YAML.")
@click.option(
    "--from",
    "sources",
    multiple=True,
    help="Finished searches to read: kept rows, a run's folder or its id; may be repeated. Or the "
    "file of a kept study, which is judged anew.",
)
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.json.gz",
    help="Also write what was measured to a small file, for --from.",
)
@click.option(
    "--size",
    type=click.Choice(["small", "reference", "paper"]),
    default="small",
    help="Minutes, to see the machinery (no verdicts); half an hour a search; the paper's own.",
)
@click.option("--paper", is_flag=True, hidden=True, help="The same as --size paper.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder; default: a folder in ./runs that the options name.",
)
@json_option
def study(
    name: str | None,
    data: str | None,
    seeds: int | None,
    epochs: int | None,
    runs: tuple[str, ...],
    assignments: tuple[str, ...],
    sources: tuple[str, ...],
    keep: Path | None,
    size: Size,
    paper: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Repeat the measurement NAME of a paper, with tables, pictures and a verdict on each claim.

    Without NAME the studies are listed. A study that was interrupted goes on where it stopped
    when it is started again with the same options.
    """
    from nni_wiring.studies.registry import STUDIES
    from nni_wiring.studies.registry import study as find

    if name is None:
        titles = {entry.name: entry.title for entry in STUDIES.values()}
        if as_json:
            print_json(titles)
        else:
            print_table("studies", ["name", "what it measures"], [[*row] for row in titles.items()])
        return
    found = find(name)
    settings = parse_assignments(assignments)
    check_names({**settings, **({} if data is None else {"data": data})})
    from nni_wiring.studies.kept_searches import ROWS
    from nni_wiring.studies.kept_studies import holds_study, keep_study
    from nni_wiring.studies.running import run_study, study_folder

    given = {"data": data, "seeds": seeds, "epochs": epochs}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if runs:
        if "runs" not in found.own:
            raise click.UsageError(f"study {found.name} measures no runs: --runs is not for it")
        chosen["runs"] = [str(folder.path) for run_id in runs for folder in resolve(run_id)]
    if sources and (ROWS not in found.own or any(holds_study(Path(one)) for one in sources)):
        if keep is not None:
            raise click.UsageError("a kept study is kept already: --keep is not for its --from")
        options, parts = _kept(found, sources, {**settings, **chosen})
    else:
        rows = {ROWS: list(sources)} if sources else {}
        options = found.options({**settings, **chosen, **rows}, "paper" if paper else size)
        parts = None
    again = this_command()
    with goes_on_with(lambda: [again]), steps(f"study {found.name}") as (say, now_and_then):
        out = out or study_folder(found, options, kept=parts is not None)
        result = run_study(found, options, out, say, now_and_then, parts)
    if keep is not None:
        keep_study(found, options, out, keep)
    if as_json:
        print_json(result)
        return
    print_study(result)


def _kept(
    found: Study, sources: tuple[str, ...], given: dict[str, Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The options and parts of the one kept study that ``--from`` names."""
    from nni_wiring.studies.kept_studies import read_study

    if len(sources) > 1:
        raise click.UsageError(f"study {found.name} takes one kept study: --from once")
    kept = read_study(Path(sources[0]))
    if kept.study != found.name:
        raise click.UsageError(f"--from {sources[0]} holds a study {kept.study}, not {found.name}")
    if given:
        raise click.UsageError(
            f"--from {sources[0]} says with which options it was measured: {next(iter(given))} is "
            "not for it"
        )
    return found.checked(kept.options), kept.parts


def print_study(result: dict[str, Any]) -> None:
    """Seeds and threads, tables, verdicts and where the pictures are."""
    seeds = ", ".join(map(str, result["seeds"])) or "none"
    click.echo(f"seeds {seeds}; {result['threads']} CPU thread(s)")
    for table in result["tables"]:
        rows = [[_shown(cell) for cell in row] for row in table["rows"]]
        print_table(table["title"], table["columns"], rows)
    for verdict in result["verdicts"]:
        click.secho(f"{verdict['verdict']}: ", bold=True, nl=False)
        click.echo(f"{verdict['claim']} ({verdict['evidence']})")
    for picture in result["pictures"]:
        click.echo(f"picture: {Path(result['folder']) / picture}")


def _shown(cell: object) -> object:
    return f"{cell:.4g}" if isinstance(cell, float) else cell
