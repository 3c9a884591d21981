"""`search`: run one architecture search into a run folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any

import click

from nni_wiring.commands.output import print_json
from nni_wiring.errors import RunError, WiringError
from nni_wiring.runs.store import RunFolder, new_run_id, runs_root
from search_spaces.errors import SpaceError

_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--strategy", str, "Strategy (see `strategies`); default darts."),
    ("--space", str, "Search space (see `spaces`); default nasbench201."),
    ("--data", str, "digits, cifar10, cifar100, imagenet16-120 or npz:PATH; default digits."),
    ("--epochs", int, "Epochs; default: those of the strategy's paper."),
    ("--seed", int, "Seed of weights, split, order and draws; default 1."),
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for flag, kind, text in reversed(_OPTIONS):
        command = click.option(flag, type=kind, help=text)(command)
    return command


@click.command()
@_options
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    help="Any other option: channels=8, cells=1, batch_size=64, max_steps=20, order=2, ... "
    "Values are YAML. `strategies --options NAME` lists them. May be repeated.",
)
@click.option("--resume", metavar="RUN_ID", help="Go on with an interrupted run; no other option.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def search(
    assignments: tuple[str, ...], resume: str | None, as_json: bool, **given: str | int | None
) -> None:
    """Run one architecture search.

    The run goes to ./runs/RUN_ID (or $NNI_WIRING_RUNS); `analyze RUN_ID` explains it. After every
    epoch it can be interrupted and resumed with the same result as an uninterrupted run.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    if resume is not None and (chosen or assignments):
        raise click.UsageError(
            "--resume goes on with the run's own settings; it takes no other option"
        )
    from nni_wiring.runs.config import make_config, parse_assignments

    if resume is None:
        config = make_config({**parse_assignments(assignments), **chosen})
        run_id = new_run_id(config.strategy, config.seed)
        folder = RunFolder.create(runs_root() / run_id, run_id, config.flat())
    else:
        folder = _the_run(resume)
        config = make_config(folder.info["config"])
    click.echo(f"run {folder.run_id} in {folder.path}", err=as_json)
    try:
        result = _run(folder, resume is not None, as_json)
    except (WiringError, SpaceError):
        if resume is None and not folder.epochs():
            shutil.rmtree(folder.path)  # bad input: nothing was searched, nothing is left behind
        raise
    if as_json:
        print_json(result)
        return
    click.echo(f"cell {result['arch']}")
    click.echo(f"explain it:  python cli.py analyze {folder.run_id}")


def _the_run(run_id: str) -> RunFolder:
    from nni_wiring.runs.resolve import resolve

    runs = resolve(run_id)
    if len(runs) != 1:
        raise RunError(f"--resume: {run_id!r} names {len(runs)} runs; give the id of one of them")
    if runs[0].status == "finished":
        raise RunError(f"--resume: run {runs[0].run_id} is finished; nothing is left to do")
    return runs[0]


def _run(folder: RunFolder, resume: bool, quiet: bool) -> dict[str, Any]:
    from nni_wiring.runs.config import make_config
    from nni_wiring.runs.search import run_search

    config = make_config(folder.info["config"])

    def tell(record: dict[str, Any]) -> None:
        click.echo(epoch_line(record, config.epochs), err=quiet)

    return run_search(
        config,
        folder,
        resume=resume,
        on_epoch=tell,
        progress=sys.stderr.isatty() and not quiet,
    )


def epoch_line(record: dict[str, Any], epochs: int) -> str:
    """One line about an epoch: losses, the derived cell, its true accuracy and regret."""
    parts = [f"epoch {record['epoch'] + 1}/{epochs}"]
    for part, value in record.get("loss", {}).items():
        parts.append(f"{part} loss {value:.3f}")
    truth = record.get("truth")
    if truth:
        dataset = next(iter(truth["accuracy"]))
        accuracy = truth["accuracy"][dataset]["valid"]
        regret = truth["regret"][dataset]["valid"]
        if accuracy is not None:
            parts.append(f"true {dataset} {accuracy:.2f} % (regret {regret:.2f})")
    parts.append(f"{record['seconds']:.1f} s")
    return "  ".join([*parts, str(record.get("arch", ""))])
