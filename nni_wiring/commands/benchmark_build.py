"""`benchmark build`, `merge` and `info`: a truth of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.interrupts import goes_on_with, this_command
from nni_wiring.commands.names import check_names
from nni_wiring.commands.output import json_option, print_json
from nni_wiring.commands.progress import progress
from nni_wiring.commands.set_option import set_option
from nni_wiring.errors import WiringError
from nni_wiring.imports import large_imports
from nni_wiring.search.assignments import parse_assignments

if TYPE_CHECKING:
    from nni_wiring.building.folder import BuildFolder
    from nni_wiring.truth.metrics import TableData

_SHOWN = 5
_LINE_EVERY = 60.0  # seconds


@click.command("build")
@click.option(
    "--space", required=True, help="Search space (see `spaces`).", shell_complete=completion.space
)
@click.option(
    "--data",
    required=True,
    help="digits, clutter, cifar10, ... or npz:PATH.",
    shell_complete=completion.data,
)
@click.option("--name", required=True, help="Of the table, for --benchmark.")
@click.option("--seeds", help="Each cell is trained with each, as 1,2; default 1.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--cells",
    "cell_list",
    type=click.Path(exists=True, dir_okay=False),
    help="File that lists the cells to train, one a line; default: all of the space.",
)
@click.option("--slice", "part", metavar="I/N", help="Train this part only, and write no table.")
@click.option(
    "--protocol",
    help="Of `train`: tabulated, darts, short (default) or clutter.",
    shell_complete=completion.protocol,
)
@set_option("Any other option of `train`: epochs=3, channels=4, eval_epochs=[1,3], ...")
@json_option
def build(
    name: str,
    jobs: int,
    part: str | None,
    assignments: tuple[str, ...],
    as_json: bool,
    **given: str | None,
) -> None:
    """Train every cell of a space and make the table NAME, which --benchmark NAME then uses.

    Cells that compute the same are trained once. The same command goes on where it was stopped.
    Accuracies are kept after `eval_epochs` (default: a quarter, half and all of the training):
    points of one training's curve.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    values = {**parse_assignments(assignments), **chosen}
    check_names(values)
    with large_imports():
        from nni_wiring.building.finish import check_name, finish
        from nni_wiring.building.folder import BuildFolder, build_path
        from nni_wiring.building.options import make_build_options
        from nni_wiring.building.plan import WHOLE, Slice
        from nni_wiring.building.work import run_build
        from nni_wiring.runs.ownership import owned_place

    asked = WHOLE if part is None else Slice.parse(part)
    options = make_build_options(values)
    check_name(name, options)
    again = this_command()
    with owned_place(build_path(name), name):  # from its beginning to its table
        folder = BuildFolder.at(build_path(name), name, options)
        clean = _nothing_left_of_bad_input(folder)
        told = progress(f"table {name}", every=_LINE_EVERY)
        with goes_on_with(lambda: [again]), clean, told as tell:
            trained = run_build(folder, asked, jobs, lambda d, t: tell(d, t, "trainings"))
        missing = len(folder.missing())
        if part is None or not missing:
            data = finish(folder, name)
            _tell_table(name, data, trained, as_json)
            return
    whole = len(folder.plan.units())
    answer = {"name": name, "trained": trained, "missing": missing, "all": whole}
    text = f"{part} is done; {missing} of {whole} trainings of table {name} are missing"
    _tell(answer | {"folder": str(folder.run.path)}, f"{text}, in {folder.run.path}", as_json)


@click.command("merge")
@click.argument("name")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--partial", is_flag=True, help="Write the table though trainings are missing.")
@json_option
def merge_command(name: str, folders: Sequence[Path], partial: bool, as_json: bool) -> None:
    """Put slices together, and make the table NAME where they are all there.

    FOLDERS are builds of other machines (they lie under builds/ in the cache folder), or folders
    with such builds below them, as those of NNI's experiments.
    """
    from nni_wiring.building.finish import finish
    from nni_wiring.building.merge import merge

    found = merge(name, folders)
    text = f"{found.added} trainings added, {found.repeated} were there already"
    if found.unequal:
        text += f" ({found.unequal} of them with other accuracies; the first ones stay)"
    click.echo(text, err=as_json)
    _tell_table(name, finish(found.build, name, partial), found.added, as_json)


@click.command("info")
@click.argument("name", shell_complete=completion.table)
@json_option
def info_command(name: str, as_json: bool) -> None:
    """Show what the table NAME holds, and which cells it has where it is half built."""
    from nni_wiring.building.status import info

    found = info(name)
    if as_json:
        print_json(found)
        return
    for line in (*_table_lines(found["table"]), *_build_lines(found["build"])):
        click.echo(line)


def _table_lines(table: dict[str, Any] | None) -> Iterator[str]:
    if table is None:
        yield "no table yet"
        return
    about = table["info"]
    yield f"table of {table['title']}, cells of {table['cells_of']}: {about.get('cells')} cells"
    for name, one in table["datasets"].items():
        lengths = ", ".join(map(str, one["epochs"]))
        kind = "points of one training" if one["points_of_one_training"] else "trainings"
        yield f"{name}: after {lengths} epochs ({kind}), C={one['channels']}, N={one['cells']}"
        yield f"  {one['optimiser']}"
    yield f"metrics: {', '.join(table['metrics'])}"
    if about.get("diverged"):
        counts = ", ".join(f"{len(codes)} of seed {s}" for s, codes in about["diverged"].items())
        yield f"diverged trainings, without accuracy: {counts}"


def _build_lines(build: dict[str, Any] | None) -> Iterator[str]:
    if build is None:
        return
    yield f"build in {build['folder']}: {build['status']}"
    yield f"  {build['cells']} cells of {build['space']} in {build['classes']} classes"
    for seed, count in build["trainings"].items():
        yield f"  seed {seed}: {count['done']} of {count['all']} trainings"
    yield f"  {build['cpu_seconds'] / 60:.1f} CPU minutes, {len(build['diverged'])} diverged"
    for title in ("has", "missing"):
        archs = build[title]
        more = ", ... (all of them: --json) " if len(archs) > _SHOWN else ""
        yield f"  {title} {len(archs)}: {', '.join(archs[:_SHOWN])}{more}".rstrip()


def _tell_table(name: str, data: TableData, trained: int, as_json: bool) -> None:
    about = data.info
    answer = {
        "name": name,
        "trained": trained,
        "metrics": [str(key) for key in data.metrics],
        **{key: about[key] for key in ("cells", "classes", "trainings", "cpu_hours", "diverged")},
    }
    diverged = sum(map(len, about["diverged"].values()))
    text = (
        f"table {name}: {about['cells']} cells from {about['trainings']} trainings "
        f"({diverged} diverged), {about['cpu_hours'] * 60:.1f} CPU minutes\n"
        f"metrics: {', '.join(answer['metrics'])}\n"
        f"use it with --benchmark {name}, in search and train with --set benchmark={name}"
    )
    _tell(answer, text, as_json)


def _tell(answer: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(text)


@contextmanager
def _nothing_left_of_bad_input(folder: BuildFolder) -> Iterator[None]:
    """Leave the name free where the first training failed: the options were bad.

    The folder is owned, so that nobody else builds in it by then.
    """
    try:
        yield
    except WiringError:
        if not folder.rows():
            shutil.rmtree(folder.run.path)
        raise
