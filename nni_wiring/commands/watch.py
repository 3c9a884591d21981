"""`watch`: follow an NNI experiment to its end and say how it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from nni_wiring.commands import completion
from nni_wiring.commands.failed_trials import allow_failed_option, refuse_failed
from nni_wiring.errors import RunError
from nni_wiring.files.messages import printable
from nni_wiring.service.endings import ENDED, last_error_of_manager
from nni_wiring.service.experiment import NniExperiment, NniTrial, read_experiment
from nni_wiring.service.manager import manager_status, stop_manager, web_address
from nni_wiring.service.manifest import experiment_folder, latest_experiment

if TYPE_CHECKING:
    from rich.console import Console

_INTERVAL_SECONDS = 1.0
_WORDS = {
    "SUCCEEDED": "finished",
    "USER_CANCELED": "cancelled",
    "SYS_CANCELED": "cancelled",
    "EARLY_STOPPED": "stopped early",
}


#: The figure that stands beside a trial: the first of these in its metric, and what it is called.
_MEASURES = {
    "true_accuracy": "true accuracy",
    "test_accuracy": "test accuracy",  # of a training
    "trainings": "trained",  # of a slice of a table
}


class Progress(NamedTuple):
    """The present standing of one trial.

    Attributes:
        epoch: epochs done.
        accuracy: percent, of what `measure` names; of a slice of a table, how much is trained.
        text: error line or "".
    """

    name: str
    settings: str
    state: str
    epoch: int
    epochs: int | None
    accuracy: float | None
    measure: str
    text: str


Show = Callable[[NniExperiment, str, list[Progress]], None]


@click.command()
@click.argument("experiment_id", default="latest", shell_complete=completion.experiment)
@click.option(
    "--stop", is_flag=True, help="Stop the experiment's manager at the end, or on Ctrl-C."
)
@allow_failed_option
def watch(experiment_id: str, stop: bool, allow_failed: bool) -> None:
    """Show the progress of an NNI experiment until it is done.

    EXPERIMENT_ID is NNI's id of it; `latest` (the default) is the one that was started last.
    Fails if the experiment ends with an error, if a trial of it fails or is killed (unless
    --allow-failed), or if no trial succeeds.
    """
    folder = _folder(experiment_id)
    try:
        with _display() as show:
            experiment, status = follow(folder, show)
    except KeyboardInterrupt:
        if not stop:
            name = folder.name
            click.echo(f"experiment {name} goes on; to stop it: nnictl stop {name}", err=True)
        raise
    finally:
        if stop:
            click.echo("stopping NNI's manager")
            stop_manager(read_experiment(folder))
    click.echo(printable(_verdict(experiment, status)))
    if not allow_failed:
        refuse_failed(experiment)


def follow(folder: Path, show: Show) -> tuple[NniExperiment, str]:
    """Read the experiment in `folder` once a second, show it, return it when it has ended."""
    ended = False
    while True:
        experiment = read_experiment(folder)
        status = manager_status(experiment)
        show(experiment, status, progress(experiment))
        seemed_ended, ended = ended, _ended(experiment, status)
        # twice in a row: a trial that waits is stored a moment after the one before it ended
        if seemed_ended and ended:
            return experiment, status
        time.sleep(_INTERVAL_SECONDS)


def progress(experiment: NniExperiment) -> list[Progress]:
    """The standing of each trial of `experiment`, in NNI's order."""
    return [_progress(trial, experiment) for trial in experiment.trials]


def _folder(experiment_id: str) -> Path:
    """Folder of the experiment a user named.

    Raises:
        RunError: nnictl's list does not have it.
    """
    name = latest_experiment() if experiment_id == "latest" else experiment_id
    if name is None:
        raise RunError("no NNI experiment yet; start one with: nnictl create --config FILE.yml")
    folder = experiment_folder(name)
    if folder is None:
        raise RunError(
            f"unknown NNI experiment {name!r}; `nnictl experiment list --all` names them"
        )
    return folder


def _progress(trial: NniTrial, experiment: NniExperiment) -> Progress:
    parameters = trial.parameters or {}
    shown = [key for key in experiment.varied if key in parameters and key != "strategy"]
    settings = " ".join(
        [str(parameters[key]) for key in ("strategy",) if key in parameters]
        + [f"{key}={parameters[key]}" for key in shown]
    )
    last = trial.final or (trial.intermediate[-1] if trial.intermediate else {})
    done = [int(metric["epoch"]) for metric in trial.intermediate if "epoch" in metric]
    key = next((key for key in _MEASURES if last.get(key) is not None), None)
    epochs = parameters.get("epochs")
    stopped = trial.status not in ENDED and not experiment.managed
    return Progress(
        name=f"trial {trial.number} ({trial.trial_id})",
        settings=settings,
        state="stopped" if stopped else _WORDS.get(trial.status, trial.status.lower()),
        epoch=max(done, default=-1) + 1,
        epochs=int(epochs) if isinstance(epochs, (int, float)) else None,
        accuracy=last["true_accuracy"] if key == "true_accuracy" else last.get("default"),
        measure="supernet accuracy" if key is None else _MEASURES[key],
        text=trial.error or "",
    )


def _ended(experiment: NniExperiment, status: str) -> bool:
    """True once nothing more will happen: NNI never leaves TUNER_NO_MORE_TRIAL by itself."""
    if status in ("DONE", "ERROR", "STOPPED"):
        return True
    all_ended = bool(experiment.trials) and all(t.status in ENDED for t in experiment.trials)
    return status == "TUNER_NO_MORE_TRIAL" and all_ended


def _verdict(experiment: NniExperiment, status: str) -> str:
    """One line on how the experiment ended.

    Raises:
        RunError: it ended with an error, or none of its trials succeeded.
    """
    name = f"NNI experiment {experiment.experiment_id}"
    good = sum(trial.status == "SUCCEEDED" for trial in experiment.trials)
    if status == "ERROR":
        cause = last_error_of_manager(experiment.folder) or f"see {experiment.folder / 'log'}"
        raise RunError(f"{name} ended with an error: {cause}")
    failed = len(experiment.failed)
    if not good:
        first = next((trial.error for trial in experiment.trials if trial.error), None)
        cause = first or ("it has no trials" if not experiment.trials else "they were stopped")
        count = f", {failed} failed" if failed else ""
        total = len(experiment.trials)
        raise RunError(f"{name}: none of {total} trials succeeded{count}: {cause}")
    return f"{name}: {good} of {len(experiment.trials)} trials succeeded"


def _line(row: Progress) -> str:
    """One trial in one line of plain text."""
    parts = [row.name, row.settings, row.state]
    if row.epoch:
        parts.append(f"epoch {row.epoch}" + (f"/{row.epochs}" if row.epochs else ""))
    if row.accuracy is not None:
        parts.append(f"{row.measure} {row.accuracy:.2f} %")
    if row.text:
        parts.append(row.text)
    return "  ".join(part for part in parts if part)


def _headline(experiment: NniExperiment, status: str) -> str:
    done = sum(trial.status in ENDED for trial in experiment.trials)
    total = experiment.max_trials or len(experiment.trials)
    return (
        f"NNI experiment {experiment.experiment_id} {experiment.name}  {status}  "
        f"{done} of {total} trials done  web UI {web_address(experiment)}"
    )


def _display() -> AbstractContextManager[Show]:
    """A display of progress: a table rewritten in place on a terminal, else lines on a change."""
    from rich.console import Console

    console = Console()
    return _live_table(console) if console.is_terminal else _lines()


@contextmanager
def _lines() -> Iterator[Show]:
    """Print a line whenever it differs from the one printed before for the same trial."""
    before: dict[str, str] = {}

    def show(experiment: NniExperiment, status: str, rows: list[Progress]) -> None:
        lines = {"": _headline(experiment, status)} | {row.name: _line(row) for row in rows}
        for key, line in lines.items():
            if before.get(key) != line:
                click.echo(printable(line))
        before.update(lines)

    yield show


@contextmanager
def _live_table(console: Console) -> Iterator[Show]:
    """Redraw one table in place."""
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    with Live(console=console, auto_refresh=False) as live:

        def show(experiment: NniExperiment, status: str, rows: list[Progress]) -> None:
            table = Table(title=Text(_headline(experiment, status)), title_justify="left")
            for name in ("trial", "settings", "state", "epoch", "accuracy", "error"):
                table.add_column(name)
            for row in rows:
                epoch = f"{row.epoch}/{row.epochs or '?'}"
                accuracy = "" if row.accuracy is None else f"{row.accuracy:.2f} % ({row.measure})"
                cells = (row.name, row.settings, row.state, epoch, accuracy, row.text)
                table.add_row(*(Text(cell) for cell in cells))
            live.update(table, refresh=True)

        yield show
