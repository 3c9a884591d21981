"""`train`: train one fixed cell from scratch."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from typing import Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.interrupts import goes_on_with, program
from nni_wiring.commands.names import check_names
from nni_wiring.commands.output import print_json
from nni_wiring.commands.progress import on_terminal, progress
from nni_wiring.commands.set_option import set_option
from nni_wiring.errors import OwnedError, RunError, WiringError
from nni_wiring.imports import large_imports
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder, new_run_id, runs_root
from nni_wiring.search.assignments import parse_assignments


@click.command()
@click.argument("cell", metavar="ARCH|RUN_ID", required=False, shell_complete=completion.run)
@click.option(
    "--space",
    help="Search space (see `spaces`); default nasbench201, or the run's.",
    shell_complete=completion.space,
)
@click.option(
    "--data",
    help="digits, clutter, cifar10, cifar100, imagenet16-120 or npz:PATH.",
    shell_complete=completion.data,
)
@click.option(
    "--protocol", help="tabulated, darts or short (default).", shell_complete=completion.protocol
)
@click.option("--seed", type=int, help="Seed of weights, split, order and draws; default 1.")
@set_option(
    "Any other option: epochs=3, batch_size=64, channels=8, eval_epochs=[1,3], ... Values are YAML."
)
@click.option(
    "--resume",
    metavar="RUN_ID",
    help="Go on with an interrupted run; no other option.",
    shell_complete=completion.run,
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(
    cell: str | None,
    assignments: tuple[str, ...],
    resume: str | None,
    as_json: bool,
    **given: str | int | None,
) -> None:
    """Train a fixed cell from scratch.

    ARCH is a cell as its space spells it: NAS-Bench-201's arch string, Genotype(normal=[..], ..),
    or edge=operation;edge=operation;... RUN_ID names a run whose derived cell is trained, in its
    space and, unless --data says otherwise, on its data.

    The training is a run of its own in ./runs/RUN_ID (or $NNI_WIRING_RUNS), which `--resume`,
    `analyze` and `compare` take.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    if resume is not None and (chosen or assignments or cell is not None):
        raise click.UsageError(
            "--resume goes on with the run's own settings; it takes no other option"
        )
    if resume is None and cell is None:
        raise click.UsageError("name a cell (ARCH or RUN_ID), or a run to --resume")
    if resume is None:
        values = {**parse_assignments(assignments), **chosen}
        check_names(values)
        values = cell_options(str(cell), values)
    else:
        folder = _unfinished(resume)
    with large_imports():
        from nni_wiring.search.loggers import check_logger
        from nni_wiring.train.config import make_train_config

    if resume is None:
        config = make_train_config(values)
        check_logger(config.training.logger)
        run_id = new_run_id("train", config.training.seed)
        folder = RunFolder.create(runs_root() / run_id, run_id, config.flat())
    else:
        config = make_train_config(folder.config)
    _run(config, folder, resume is not None, as_json)


def cell_options(cell: str, values: dict[str, Any]) -> dict[str, Any]:
    """The options of a cell that is named by its text or by the run that found it.

    Args:
        cell: ARCH or RUN_ID.
        values: the options that were given; they win over the run's.

    Raises:
        WiringError: it is neither, or the run has no cell.
    """
    from nni_wiring.train.arch import arch_of
    from search_spaces.registry import space_entry

    run = run_named(cell, values.get("space"))
    if run is None:
        return {**values, "arch": cell.strip()}
    found = run.search_result()
    if found is None:
        raise RunError(f"run {run.run_id} has no result yet, so no cell; its status: {run.status}")
    of_run = {k: run.config.get(k) for k in ("space", "data", "data_dir", "dataset", "benchmark")}
    merged = {**{k: v for k, v in of_run.items() if v is not None}, **values}
    arch = arch_of(space_entry(str(merged.get("space") or "nasbench201")), found)
    return {**merged, "arch": arch}


def run_named(cell: str, space: str | None = None) -> RunFolder | None:
    """The run that ARCH|RUN_ID names; None for a cell's text, spelt as the space's cells are.

    Raises:
        WiringError: it is neither.
    """
    from nni_wiring.service.resolve import load_run
    from nni_wiring.train.arch import parse_cell, spells_a_cell
    from search_spaces.registry import space_entry

    entry = space_entry(str(space or "nasbench201"))
    if not _names_a_run(cell):
        try:
            parse_cell(entry, cell)
        except WiringError:
            if spells_a_cell(cell):
                raise
        else:
            return None
    return load_run(cell)


def _names_a_run(text: str) -> bool:
    return os.path.isdir(text) or os.path.isdir(runs_root() / text)


def _unfinished(run_id: str) -> RunFolder:
    from nni_wiring.service.resolve import load_run
    from nni_wiring.train.run import is_training

    run = load_run(run_id)
    if not is_training(run):
        raise RunError(f"--resume: run {run.run_id} is no training; go on with it by `search`")
    if run.status == "finished":
        raise RunError(f"--resume: run {run.run_id} is finished; nothing is left to do")
    return run


def _run(config: Any, folder: RunFolder, resume: bool, as_json: bool) -> None:
    from nni_wiring.train.run import run_train

    click.echo(f"run {folder.run_id} in {folder.path}", err=as_json)
    epochs = config.theta.epochs

    def tell(record: EpochRecord) -> None:
        click.echo(_line(record, epochs), err=as_json)
        bar(record.epoch + 1, epochs, "epochs")

    resume_it = f"{program()} train --resume {folder.run_id}"
    try:
        shown = progress("train") if on_terminal() else nullcontext(_silent)
        with goes_on_with(lambda: [resume_it]), shown as bar:
            result = run_train(config, folder, resume=resume, on_epoch=tell)
    except OwnedError:
        raise
    except WiringError:
        if not resume and not folder.epochs():
            shutil.rmtree(folder.path)  # nothing was trained: the input was bad
        raise
    if as_json:
        print_json(result.to_json())
        return
    known = "  ".join(f"{part} {value:.2f} %" for part, value in result.accuracy.items())
    click.echo(f"cell {result.arch}")
    click.echo(f"accuracy after {epochs} epochs: {known}")
    truth = result.true_accuracy()
    if truth is not None:
        click.echo(f"tabulated accuracy on {result.truth_dataset} (valid): {truth:.2f} %")


def _silent(done: int, total: int, what: str) -> None:
    """Elsewhere than on a terminal an epoch's line says it all."""


def _line(record: EpochRecord, epochs: int) -> str:
    parts = [f"epoch {record.epoch + 1}/{epochs}"]
    parts += [f"{part} loss {value:.3f}" for part, value in record.loss.items()]
    parts += [f"{part} {value:.2f} %" for part, value in record.accuracy.items()]
    return "  ".join([*parts, f"{record.seconds:.1f} s"])
