"""`search`: run one architecture search, or one for each of several seeds, into run folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from nni_wiring.runs.result import SearchResult
    from nni_wiring.search.config import RunConfig
    from nni_wiring.search.seeds import Outcome

_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--strategy", str, "Strategy (see `strategies`); default darts."),
    ("--space", str, "Search space (see `spaces`); default nasbench201."),
    (
        "--data",
        str,
        "digits, clutter, cifar10, cifar100, imagenet16-120 or npz:PATH; default digits.",
    ),
    ("--epochs", int, "Epochs; default: those of the strategy's paper."),
    ("--seed", int, "Seed of weights, split, order and draws; default 1."),
    (
        "--seeds",
        str,
        "Several seeds at once, such as 1,2,3,4: a run for each, as if it were alone.",
    ),
)


_COMPLETIONS = {
    "--strategy": completion.strategy,
    "--space": completion.space,
    "--data": completion.data,
}


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for flag, kind, text in reversed(_OPTIONS):
        complete = _COMPLETIONS.get(flag)
        command = click.option(flag, type=kind, help=text, shell_complete=complete)(command)
    return command


@click.command()
@_options
@set_option(
    "Any other option: channels=8, cells=1, batch_size=64, max_steps=20, order=2, ... "
    "Values are YAML. `strategies --options NAME` lists them."
)
@click.option(
    "--resume",
    metavar="RUN_ID",
    help="Go on with an interrupted run; no other option.",
    shell_complete=completion.run,
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print the result as JSON; of several seeds {"runs": [results], "failed": [..], ..}.',
)
def search(
    assignments: tuple[str, ...], resume: str | None, as_json: bool, **given: str | int | None
) -> None:
    """Run one architecture search, or one for each of several seeds.

    The run goes to ./runs/RUN_ID (or $NNI_WIRING_RUNS); `analyze RUN_ID` explains it. After every
    epoch it can be interrupted and resumed with the same result as an uninterrupted run.

    Seeds at once share the machine: on the CPU each gets its part of the cores (or as many as
    `--set threads=N` says), on CUDA a stream of its own. Each is an ordinary run with its own
    RUN_ID, which `--resume`, `analyze` and `compare` take. Where one fails, the others go on.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    if resume is not None and (chosen or assignments):
        raise click.UsageError(
            "--resume goes on with the run's own settings; it takes no other option"
        )
    values = {**parse_assignments(assignments), **chosen}
    check_names(values)
    interrupted = None if resume is None else _the_run(resume)
    with large_imports():
        from nni_wiring.search.config import make_config
        from nni_wiring.search.loggers import check_logger

    if values.get("seeds") is not None:
        _search_seeds(values, as_json)
        return
    if interrupted is None:
        config = make_config(values)
        check_logger(config.run.logger)
        run_id = new_run_id(config.strategy, config.seed)
        folder = RunFolder.create(runs_root() / run_id, run_id, config.flat())
    else:
        folder = interrupted
        config = make_config(folder.info["config"])
    click.echo(f"run {folder.run_id} in {folder.path}", err=as_json)
    try:
        with _resumable([folder]):
            result = _run(config, folder, resume is not None, as_json)
    except OwnedError:
        raise
    except WiringError:
        if resume is None:
            _drop_empty(folder)
        raise
    if as_json:
        print_json(result.to_json())
        return
    click.echo(f"cell {result.arch}")
    _say_provenance(result)
    click.echo(f"explain it:  {program()} analyze {folder.run_id}")


def _resumable(folders: Sequence[RunFolder]) -> AbstractContextManager[None]:
    """Let Ctrl-C tell the command that resumes each unfinished run."""
    return goes_on_with(
        lambda: [
            f"{program()} search --resume {folder.run_id}"
            for folder in folders
            if folder.status != "finished"
        ]
    )


def _say_provenance(result: SearchResult) -> None:
    """Say of a true accuracy which benchmark's it is, where the search does not compare with it."""
    from nni_wiring.report.provenance import in_words, run_provenance
    from nni_wiring.truth import BENCHMARKS

    if result.truth is not None and result.truth.benchmark in BENCHMARKS:
        benchmark = BENCHMARKS[result.truth.benchmark]
        found = run_provenance(result.config, result.to_json(), benchmark)
        if not found.comparable:
            click.echo(f"note: the true accuracy is that of {in_words(found)}")


def _drop_empty(folder: RunFolder) -> None:
    """Leave nothing behind where nothing was searched: the input was bad."""
    if not folder.epochs():
        shutil.rmtree(folder.path)


def _search_seeds(values: dict[str, Any], as_json: bool) -> None:
    from nni_wiring.search.seeds import new_seeds, run_seeds

    seeds = new_seeds(values)
    for _, folder in seeds:
        click.echo(f"run {folder.run_id} in {folder.path}", err=as_json)
    epochs = seeds[0].config.epochs

    def tell(folder: RunFolder, record: EpochRecord) -> None:
        click.echo(f"seed {folder.config['seed']}  {epoch_line(record, epochs)}", err=as_json)

    with _resumable([folder for _, folder in seeds]):
        outcomes = run_seeds(seeds, tell)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        if isinstance(outcome.error, WiringError):
            _drop_empty(outcome.folder)
    _raise_if_all_alike(failed, len(outcomes))
    _print_seeds(outcomes, as_json)
    for seed, folder, _, error in failed:
        line = next(iter(str(error).splitlines()), "") or type(error).__name__
        click.echo(f"error: seed {seed} ({folder.run_id}): {line}", err=True)
    for outcome in failed:  # not a user's doing: with its traceback, as from one search
        if outcome.error and not isinstance(outcome.error, (WiringError, OSError)):
            raise outcome.error
    if failed:
        click.get_current_context().exit(1)


def _raise_if_all_alike(failed: list[Outcome], count: int) -> None:
    """One error instead of one a seed, where an option that they share is to blame."""
    if len(failed) < count or any(outcome.folder.epochs() for outcome in failed):
        return
    if len({str(outcome.error) for outcome in failed}) == 1 and failed[0].error is not None:
        raise failed[0].error


def _print_seeds(outcomes: list[Outcome], as_json: bool) -> None:
    """A line a seed, and the mean of their true accuracies; or all of it as JSON."""
    from nni_wiring.report.summary import spread

    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    accuracies = [result.true_accuracy() for result in results]
    mean = spread(accuracies)
    if as_json:
        failed = [
            {"seed": seed, "run_id": folder.run_id, "error": str(error)}
            for seed, folder, _, error in outcomes
            if error is not None
        ]
        of_all = None if mean is None else mean._asdict()
        runs = [result.to_json() for result in results]
        print_json({"runs": runs, "failed": failed, "true_valid_accuracy": of_all})
        return
    for result, accuracy in zip(results, accuracies, strict=True):
        known = "" if accuracy is None else f"true {result.truth_dataset} {accuracy:.2f} %  "
        click.echo(f"seed {result.config['seed']}  {known}cell {result.arch}")
    if mean is not None:
        deviation = "" if mean.std is None else f" +- {mean.std:.2f}"
        click.echo(
            f"true validation accuracy on {results[0].truth_dataset}: "
            f"{mean.mean:.2f}{deviation} % (mean, standard deviation; {mean.n} seeds)"
        )
    if results:
        _say_provenance(results[0])
        names = " ".join(result.run_id for result in results)
        click.echo(f"compare them:  {program()} compare {names}")


def _the_run(run_id: str) -> RunFolder:
    from nni_wiring.service.resolve import resolve

    runs = resolve(run_id)
    if len(runs) != 1:
        raise RunError(f"--resume: {run_id!r} names {len(runs)} runs; give the id of one of them")
    if runs[0].status == "finished":
        raise RunError(f"--resume: run {runs[0].run_id} is finished; nothing is left to do")
    return runs[0]


def _run(config: RunConfig, folder: RunFolder, resume: bool, quiet: bool) -> SearchResult:
    from nni_wiring.search.run import run_search
    from nni_wiring.search.steps import StepCounter

    def say(record: EpochRecord) -> None:
        click.echo(epoch_line(record, config.epochs), err=quiet)

    with progress("search") as tell:
        # off a terminal the line of an epoch says it, and only a selection has lines of its own
        counter = StepCounter(lambda done, total: tell(done, total, "steps"))
        return run_search(
            config,
            folder,
            resume=resume,
            on_epoch=say,
            on_selection=tell,
            probes=[counter] if on_terminal() else [],
        )


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """One line about an epoch: losses, the derived cell, its true accuracy and regret."""
    parts = [f"epoch {record.epoch + 1}/{epochs}"]
    for part, value in record.loss.items():
        parts.append(f"{part} loss {value:.3f}")
    if record.truth is not None:
        dataset = next((dataset for dataset, _ in record.truth.scores), "")
        score = record.truth.at(dataset, "valid")
        if score.accuracy is not None:
            parts.append(f"true {dataset} {score.accuracy:.2f} % (regret {score.regret:.2f})")
    parts.append(f"{record.seconds:.1f} s")
    alone = len(record.cells) == 1  # a genotype of several kinds would fill the screen
    return "  ".join([*parts, (record.arch or "") if alone else ""])
