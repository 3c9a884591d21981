"""`trials`: what every trial of an NNI experiment was given and what it reported."""

from __future__ import annotations

import json
from typing import Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.errors import RunError
from nni_wiring.service.experiment import NniTrial, read_experiment
from nni_wiring.service.manifest import experiment_folder, latest_experiment


@click.command()
@click.argument("experiment_id", shell_complete=completion.experiment)
@json_option
def trials(experiment_id: str, as_json: bool) -> None:
    """List the trials of an NNI experiment, parameters paired with results by parameter id.

    EXPERIMENT_ID is NNI's id, or "latest". This is what `nnictl experiment export` would print if
    it did not mix up trials that run at once (docs/nni.md, Mispairing); it serves any experiment,
    tuners' look-ups too.
    """
    if experiment_id == "latest":
        experiment_id = latest_experiment() or experiment_id
    folder = experiment_folder(experiment_id)
    if folder is None:
        raise RunError(f"unknown NNI experiment {experiment_id!r}: nnictl's list has none such")
    experiment = read_experiment(folder)
    rows = [_row(trial) for trial in experiment.trials]
    if as_json:
        print_json(rows)
        return
    names = [name for name in experiment.varied if name in _names(rows)] or _names(rows)
    columns = ("trial", "id", "status", "result", *names)
    print_table(f"trials of {experiment_id}", columns, [_cells(row, names) for row in rows])


def _row(trial: NniTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "trial_id": trial.trial_id,
        "status": trial.status,
        "parameter_id": trial.parameter_id,
        "parameters": trial.parameters,
        "result": None if trial.final is None else trial.final.get("default"),
        "error": trial.error,
    }


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["parameters"] or {}))


def _cells(row: dict[str, Any], names: list[str]) -> list[object]:
    given = row["parameters"] or {}
    values = [json.dumps(given[name]) if name in given else None for name in names]
    return [row["trial"], row["trial_id"], row["status"], row["error"] or row["result"], *values]
