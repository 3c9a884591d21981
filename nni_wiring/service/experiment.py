"""An NNI experiment read from the disk: its trials, what each was given and what each reported.

NNI's web UI and export pair parameters with the wrong trial as soon as several trials run at once:
the manager hands the next parameters to whichever trial asks first, but stores them with the trial
for which they were drawn. The parameter id that a trial sends along with its metrics is right, so
everything here is paired by that id and never by the trial's own event.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.json_files import from_json, read_object
from nni_wiring.files.messages import printable, shown, told
from nni_wiring.service.database import opened
from nni_wiring.service.endings import TrialEvents
from nni_wiring.service.manifest import (
    NNI_ID,
    as_integer,
    process_lives,
    read_manifest,
    trial_folder,
)

_MOST_TRIALS = 20_000


@dataclass(frozen=True)
class NniTrial:
    """One trial.

    Attributes:
        number: NNI's sequence id, "Trial No." in the web UI.
        status: in NNI's words: WAITING, RUNNING or one of `endings.ENDED`; FAILED for one that was
            killed, which NNI itself takes for cancelled.
        folder: what the trial has as NNI_OUTPUT_DIR.
        parameter_id: id of the parameters that the trial really got, None if it never said.
        parameters: those parameters, as its run.json or else its final metric names them, else by
            the id; None without.
        intermediate: reported metrics in order, each a dict with ``default``.
        final: the final metric, None if there is none.
        error: one line that says why the trial failed, None unless it failed.
    """

    trial_id: str
    number: int
    status: str
    folder: Path
    parameter_id: int | None
    parameters: dict[str, Any] | None
    intermediate: tuple[dict[str, Any], ...]
    final: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class NniExperiment:
    """One experiment.

    Attributes:
        folder: `<working directory>/<id>`, which holds log, db and environments.
        port: port of its REST server, None if the manifest does not know the experiment.
        pid: process id of its manager, None likewise.
        url_prefix: path in front of the REST server's, "" mostly.
        status: the manager's last recorded status ("UNKNOWN" outside the manifest).
        start_ms: start, milliseconds since 1970; 0 outside the manifest.
        max_trials: maxTrialNumber of its configuration, None if unlimited.
        varied: names of the settings for which its search space has more than one value.
        trials: in the order of their numbers.
    """

    experiment_id: str
    folder: Path
    name: str
    port: int | None
    pid: int | None
    url_prefix: str
    status: str
    start_ms: int
    max_trials: int | None
    varied: tuple[str, ...]
    trials: tuple[NniTrial, ...]

    @property
    def managed(self) -> bool:
        """True while the manager's process lives."""
        return self.status != "STOPPED" and self.pid is not None and process_lives(self.pid)

    @property
    def failed(self) -> tuple[NniTrial, ...]:
        """The trials that failed, killed ones too."""
        return tuple(trial for trial in self.trials if trial.status == "FAILED")


def read_experiment(folder: Path) -> NniExperiment:
    """Read the experiment in `folder`; its database is opened for reading only.

    Raises:
        RunError: there is no experiment, or its database is damaged or locked for long.
    """
    database = folder / "db" / "nni.sqlite"
    if not database.is_file():
        raise RunError(f"{shown(folder)} is no NNI experiment: db/nni.sqlite is missing")
    try:
        with opened(database) as connection:
            profile = _profile(connection)
            trials = _trials(connection, folder)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of SQLite's own message
        raise RunError(f"cannot read the NNI experiment {shown(folder)}: {told(error)}") from None
    experiment_id = folder.resolve().name
    entry = read_manifest().get(experiment_id, {})
    if entry.get("logDir") and Path(entry["logDir"]).resolve() != folder.resolve().parent:
        entry = {}  # a copy of an experiment is not the one that a manager serves
    return NniExperiment(
        experiment_id=experiment_id,
        folder=folder,
        name=printable(str(profile.get("experimentName") or ""), 200),
        port=as_integer(entry.get("port")),
        pid=as_integer(entry.get("pid")),
        url_prefix=str(entry.get("prefixUrl") or ""),
        status=str(entry.get("status") or "UNKNOWN"),
        start_ms=as_integer(entry.get("startTime")) or 0,
        max_trials=as_integer(profile.get("maxTrialNumber")),
        varied=_varied(profile.get("searchSpace")),
        trials=trials,
    )


def _profile(connection: sqlite3.Connection) -> dict[str, Any]:
    """The experiment's configuration, of its newest revision."""
    query = "select params from ExperimentProfile order by revision desc limit 1"
    row = connection.execute(query).fetchone()
    return _object(row[0]) if row else {}


def _varied(space: object) -> tuple[str, ...]:
    """Names in an NNI search space that are no fixed choice."""
    if not isinstance(space, dict):
        return ()
    fixed = [
        name
        for name, entry in space.items()
        if isinstance(entry, dict)
        and entry.get("_type") == "choice"
        and isinstance(entry.get("_value"), list)
        and len(entry["_value"]) == 1
    ]
    return tuple(name for name in space if name not in fixed)


def _trials(connection: sqlite3.Connection, folder: Path) -> tuple[NniTrial, ...]:
    """All trials, metrics and parameters joined by parameter id."""
    events: dict[str, TrialEvents] = {}
    parameters: dict[int | None, dict[str, Any]] = {}
    rows = connection.execute(
        "select trialJobId, event, data, sequenceId from TrialJobEvent order by rowid"
    )
    for trial_id, event, data, number in rows:
        given = _object(data)
        identifier = as_integer(given.get("parameter_id"))
        if identifier is not None and isinstance(given.get("parameters"), dict):
            parameters[identifier] = given["parameters"]
        if not isinstance(trial_id, str) or not NNI_ID.fullmatch(trial_id):
            continue
        seen = events.setdefault(trial_id, TrialEvents())
        if number is not None and seen.number < 0:
            seen.number = as_integer(number) or 0
        seen.add(event)
    if len(events) > _MOST_TRIALS:  # each takes a look into its folder
        raise sqlite3.DatabaseError(f"it has more than {_MOST_TRIALS} trials")
    metrics = _metrics(connection)
    found = [
        _trial(
            trial_id, seen, trial_folder(folder, trial_id), metrics.get(trial_id, []), parameters
        )
        for trial_id, seen in events.items()
    ]
    return tuple(sorted(found, key=lambda trial: trial.number))


def _metrics(connection: sqlite3.Connection) -> dict[str, list[tuple[int | None, str, dict]]]:
    """Trial id -> (parameter id, PERIODICAL or FINAL, metric) in the order of arrival."""
    metrics: dict[str, list[tuple[int | None, str, dict]]] = {}
    rows = connection.execute(
        "select trialJobId, parameterId, type, data from MetricData order by rowid"
    )
    for trial_id, identifier, kind, data in rows:
        if isinstance(trial_id, str):
            metric = as_integer(identifier), str(kind), _metric(data)
            metrics.setdefault(trial_id, []).append(metric)
    return metrics


def _trial(
    trial_id: str,
    seen: TrialEvents,
    folder: Path,
    metrics: list[tuple[int | None, str, dict]],
    parameters: dict[int | None, dict[str, Any]],
) -> NniTrial:
    """One trial out of its events, its metrics and the parameters of the whole experiment."""
    identifiers = [identifier for identifier, _, _ in metrics if identifier is not None]
    info = _run_info(folder, trial_id)
    identifier = identifiers[-1] if identifiers else as_integer(info.get("parameter_id"))
    finals = [metric for _, kind, metric in metrics if kind == "FINAL"]
    said = info.get("parameters")
    if not isinstance(said, dict) and finals:  # a look-up has no run; nor had runs of 0.1.0 it
        said = finals[-1].get("parameters")
    return NniTrial(
        trial_id=trial_id,
        number=seen.number,
        status=seen.status(info.get("status")),
        folder=folder,
        parameter_id=identifier,
        parameters=said if isinstance(said, dict) else parameters.get(identifier),
        intermediate=tuple(metric for _, kind, metric in metrics if kind == "PERIODICAL"),
        final=finals[-1] if finals else None,
        error=seen.error(info.get("status"), folder),
    )


def _run_info(folder: Path, trial_id: str) -> dict[str, Any]:
    """The trial's run.json; empty if it did not get so far."""
    try:
        info = read_object(folder / "run.json") or {}
    except RunError:
        return {}
    return info if info.get("run_id") == trial_id else {}


def _metric(data: object) -> dict[str, Any]:
    """A metric as a dict; NNI stores JSON text inside JSON text, and a number means `default`."""
    value: object = data
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = from_json(value)
            except ValueError:
                return {}
    return value if isinstance(value, dict) else {"default": value}


def _object(text: object) -> dict[str, Any]:
    """The JSON object in `text`, {} if it is none."""
    try:
        value = from_json(text) if isinstance(text, str) and text.strip() else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
