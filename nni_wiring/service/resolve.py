"""From what a user types to runs: a folder, a run id, an NNI trial or experiment, or "latest"."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.messages import shown
from nni_wiring.runs.info import FORMAT
from nni_wiring.runs.store import RunFolder, runs_root
from nni_wiring.service.experiment import NniExperiment, NniTrial, read_experiment
from nni_wiring.service.manifest import (
    as_integer,
    experiment_folder,
    experiment_of_trial,
    latest_experiment,
    read_manifest,
)
from search_spaces.names import did_you_mean

_STATUS_OF_ENDED = {
    "SUCCEEDED": "finished",
    "FAILED": "failed",
    "USER_CANCELED": "interrupted",
    "SYS_CANCELED": "interrupted",
    "EARLY_STOPPED": "interrupted",
}


def resolve(run_id: str) -> list[RunFolder]:
    """Runs that `run_id` names, in the order of NNI's trial numbers.

    Args:
        run_id: a folder (of a run or of an NNI experiment), the id of a run under
            :func:`~nni_wiring.runs.store.runs_root`, an NNI trial id, an NNI experiment id (all its
            trials, failed ones too), or ``latest`` (whatever was started last, experiment or run).

    Raises:
        RunError: nothing has this name, or what has it cannot be read.
    """
    experiment = named_experiment(run_id)
    if experiment is not None:
        return runs_of(experiment)
    if run_id == "latest":
        return [_latest_run_or_refuse()]
    if not run_id.strip():
        raise RunError("the run id is empty")
    path = _run_folder(run_id)
    if path is not None:
        return [RunFolder.open(path)]
    folder = experiment_of_trial(run_id)
    if folder is not None:
        return _one_trial(folder, run_id)
    raise RunError(
        f"unknown run {shown(run_id)}: no folder, no run in {shown(runs_root())}, "
        f"no NNI experiment or trial of that name ({_known()})"
        f"{did_you_mean(Path(run_id).name, known_ids())}"
    )


def named_experiment(run_id: str) -> NniExperiment | None:
    """The NNI experiment that `run_id` names, as :func:`resolve` reads it; None for what names
    runs, a trial or nothing.

    Raises:
        RunError: it cannot be read.
    """
    if run_id == "latest":
        folder = _latest_experiment_folder()
    elif (path := _run_folder(run_id)) is not None:
        folder = path if (path / "db" / "nni.sqlite").is_file() else None
    else:
        folder = experiment_folder(run_id)
    return None if folder is None else read_experiment(folder)


def load_run(run_id: Path | str) -> RunFolder:
    """The one run that ``run_id`` names, as :func:`resolve` reads it.

    Raises:
        RunError: it names no run, or several.
    """
    runs = resolve(str(run_id))
    if len(runs) != 1:
        raise RunError(f"{str(run_id)!r} names {len(runs)} runs; give the id of one of them")
    return runs[0]


def runs_of(experiment: NniExperiment) -> list[RunFolder]:
    """The runs of all trials of `experiment`, also of those that left no run.json.

    Raises:
        RunError: the experiment has no trials yet, or a trial's run.json is damaged.
    """
    if not experiment.trials:
        raise RunError(f"NNI experiment {experiment.experiment_id} has no trials (yet)")
    return [run_of(trial, experiment) for trial in experiment.trials]


def run_of(trial: NniTrial, experiment: NniExperiment) -> RunFolder:
    """The run of one trial, with NNI's word on how it ended where the run could not say so.

    Nothing is written: a trial that was killed, or that died before it made its run.json, gets
    its status and error line in the returned object only.
    """
    if (trial.folder / "run.json").exists():
        run = RunFolder.open(trial.folder)
        if run.status != "running":
            return run
        status, error = _how_it_ended(trial, experiment)
        return RunFolder(run.path, run.info | {"status": status, "error": error})
    status, error = _how_it_ended(trial, experiment)
    info: dict[str, Any] = {
        "run_id": trial.trial_id,
        "format": FORMAT,
        "status": status,
        "error": error,
        "config": trial.parameters or {},
        "versions": {},
        "git_commit": None,
        "created": None,
        "experiment_id": experiment.experiment_id,
        "trial_id": trial.trial_id,
        "parameter_id": trial.parameter_id,
    }
    return RunFolder(trial.folder, info)


def _how_it_ended(trial: NniTrial, experiment: NniExperiment) -> tuple[str, str | None]:
    """Run status and error line by what NNI knows of a trial."""
    if trial.status in _STATUS_OF_ENDED:
        return _STATUS_OF_ENDED[trial.status], trial.error
    return ("running" if experiment.managed else "interrupted"), None


def _run_folder(name: str) -> Path | None:
    """The folder that `name` is, or that it names under the runs' root; None without."""
    # os.path: a name that no file can have is a folder that does not exist, not an error
    if name.strip() and os.path.isdir(name):
        return Path(name)
    if name.strip() and Path(name).name == name and os.path.isdir(runs_root() / name):
        return runs_root() / name
    return None


def _one_trial(folder: Path, trial_id: str) -> list[RunFolder]:
    experiment = read_experiment(folder)
    return [run_of(trial, experiment) for trial in experiment.trials if trial.trial_id == trial_id]


def _latest_experiment_folder() -> Path | None:
    """The folder of the experiment that started last, None where a run is newer."""
    experiment_id = latest_experiment()
    folder = None if experiment_id is None else experiment_folder(experiment_id)
    if experiment_id is None or folder is None:
        return None
    started = (as_integer(read_manifest().get(experiment_id, {}).get("startTime")) or 0) / 1000
    run = _latest_run()
    return None if run is not None and _created(run) > started else folder


def _latest_run_or_refuse() -> RunFolder:
    run = _latest_run()
    if run is None:
        raise RunError(
            f"no run yet: {shown(runs_root())} and nnictl's list of experiments are empty"
        )
    return run


def _latest_run() -> RunFolder | None:
    """The newest readable run under the runs' root, None if there is none."""
    newest: RunFolder | None = None
    for entry in sorted(runs_root().glob("*/run.json")):
        try:
            run = RunFolder.open(entry.parent)
        except RunError:
            continue  # a damaged run is no reason to hide the others
        if newest is None or _created(run) >= _created(newest):
            newest = run
    return newest


def _created(run: RunFolder) -> float:
    """The time a run was created, in seconds since 1970; 0 if it does not say so."""
    try:
        return datetime.fromisoformat(run.info.get("created") or "").timestamp()
    except (ValueError, OverflowError):
        return 0.0


def known_ids() -> list[str]:
    """The ids of runs and of NNI's listed experiments, and ``latest``: all that :func:`resolve`
    takes, but for folders and trials.
    """
    return [*run_ids(), *read_manifest(), "latest"]


def run_ids() -> list[str]:
    """The ids of the runs under the runs' root, sorted."""
    return sorted(entry.parent.name for entry in runs_root().glob("*/run.json"))


def _known() -> str:
    """A short list of what does exist, for the message about what does not."""
    names = run_ids()[-3:] + list(read_manifest())[-3:]
    return f"known, for example: {', '.join(names)}" if names else "nothing was run yet"
