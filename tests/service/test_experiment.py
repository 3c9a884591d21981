"""Reading an NNI experiment's files, made here as NNI 3.0 lays them out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.commands.trials import trials as trials_command
from nni_wiring.errors import RunError
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.endings import last_error_of_manager
from nni_wiring.service.experiment import NniExperiment, read_experiment
from nni_wiring.service.manager import manager_status, stop_manager
from nni_wiring.service.resolve import resolve

# as `sqlite3 nni.sqlite .schema` prints it
SCHEMA = """
CREATE TABLE TrialJobEvent (timestamp integer, trialJobId text, event text, data text,
    logPath text, sequenceId integer, message text, environmentId text);
CREATE TABLE MetricData (timestamp integer, trialJobId text, parameterId text, type text,
    sequence integer, data text);
CREATE TABLE ExperimentProfile (params text, id text, execDuration integer, startTime integer,
    endTime integer, logDir text, nextSequenceId integer, revision integer);
"""
PROFILE = {
    "experimentName": "two at once",
    "maxTrialNumber": 4,
    "searchSpace": {
        "strategy": {"_type": "choice", "_value": ["darts"]},
        "seed": {"_type": "choice", "_value": [0, 1]},
        "alpha_lr": {"_type": "loguniform", "_value": [1e-4, 1e-2]},
    },
}


def event(trial: str, name: str, number: int, parameter_id: int | None = None) -> tuple:
    given = {
        "parameter_id": parameter_id,
        "parameters": {"strategy": "darts", "seed": parameter_id},
    }
    data = "" if parameter_id is None else json.dumps(given)
    return (0, trial, name, data, "", number, "", "local-env")


def metric(trial: str, parameter_id: int, kind: str, sequence: int, value: Any) -> tuple:  # noqa: ANN401
    return (0, trial, str(parameter_id), kind, sequence, json.dumps(json.dumps(value)))


# The manager drew parameters 0 for trial AAAAA and 1 for BBBBB, but BBBBB asked first and got 0.
MISPAIRED_EVENTS = [
    event("AAAAA", "RUNNING", 0, 0),
    event("BBBBB", "RUNNING", 1, 1),
    event("CCCCC", "RUNNING", 2, 2),
    event("BBBBB", "SUCCEEDED", 1),
    event("AAAAA", "SUCCEEDED", 0),
    event("CCCCC", "FAILED", 2),
    event("DDDDD", "WAITING", 3, 3),
]
MISPAIRED_METRICS = [
    metric("BBBBB", 0, "PERIODICAL", 0, {"default": 10.0, "epoch": 0}),
    metric("AAAAA", 1, "PERIODICAL", 0, {"default": 20.0, "epoch": 0}),
    metric("BBBBB", 0, "PERIODICAL", 1, {"default": 11.0, "epoch": 1}),
    metric("BBBBB", 0, "FINAL", 0, {"default": 12.0, "arch": "|none~0|"}),
    metric("AAAAA", 1, "FINAL", 0, 22.0),
]

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A function that writes an experiment and lists it in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))

    def make(
        experiment_id: str = "exp1",
        events: list[tuple] = MISPAIRED_EVENTS,
        metrics: list[tuple] = MISPAIRED_METRICS,
        **entry: Any,  # noqa: ANN401
    ) -> Path:
        working = tmp_path / "working"
        folder = working / experiment_id
        (folder / "db").mkdir(parents=True)
        with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as connection, connection:
            connection.executescript(SCHEMA)
            connection.executemany("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", events)
            connection.executemany("insert into MetricData values (?,?,?,?,?,?)", metrics)
            connection.execute(
                "insert into ExperimentProfile values (?,?,1,1,null,'',3,1)",
                (json.dumps(PROFILE), experiment_id),
            )
        for trial in {row[1] for row in events}:
            (folder / "environments" / "local-env" / "trials" / trial).mkdir(parents=True)
        manifest = tmp_path / "nni-experiments" / ".experiment"
        manifest.parent.mkdir(exist_ok=True)
        listed = json.loads(manifest.read_text()) if manifest.exists() else {}
        listed[experiment_id] = {
            "id": experiment_id,
            "port": 8080,
            "startTime": 1000,
            "status": "STOPPED",
            "pid": 2**22 + 1,  # above Linux' largest process id
            "logDir": str(working),
            "prefixUrl": None,
        } | entry
        manifest.write_text(json.dumps(listed))
        return folder

    return make


def trial_folder(folder: Path, trial: str) -> Path:
    return folder / "environments" / "local-env" / "trials" / trial


def by_id(experiment: NniExperiment) -> dict[str, Any]:
    return {trial.trial_id: trial for trial in experiment.trials}


def test_parameters_pair_with_results_by_id_not_by_event(make: Make) -> None:
    trials = by_id(read_experiment(make()))

    assert trials["BBBBB"].parameters == {"strategy": "darts", "seed": 0}
    assert trials["AAAAA"].parameters == {"strategy": "darts", "seed": 1}
    assert [metric["default"] for metric in trials["BBBBB"].intermediate] == [10.0, 11.0]
    assert trials["BBBBB"].final == {"default": 12.0, "arch": "|none~0|"}
    assert trials["AAAAA"].final == {"default": 22.0}  # a plain number is NNI's short form


def test_what_a_trial_says_it_got_outweighs_the_id(make: Make) -> None:
    # after a resume NNI may give out an id for a second time
    metrics = [metric("AAAAA", 1, "FINAL", 0, {"default": 1.0, "parameters": {"seed": 9}})]

    trials = by_id(read_experiment(make(metrics=metrics)))

    assert trials["AAAAA"].parameters == {"seed": 9}


def test_what_a_trials_folder_says_it_got_outweighs_all(make: Make) -> None:
    final = metric("AAAAA", 1, "FINAL", 0, {"default": 1.0})
    folder = make(metrics=[final])
    run = RunFolder.create(trial_folder(folder, "AAAAA"), "AAAAA", {"seed": 7, "epochs": 50})
    run.info = run.info | {"parameters": {"seed": 7}}
    run.set_status("finished")
    assert by_id(read_experiment(folder))["AAAAA"].parameters == {"seed": 7}

    other = RunFolder.create(trial_folder(folder, "BBBBB"), "another-run", {"seed": 8})
    other.info = other.info | {"parameters": {"seed": 8}}
    other.set_status("finished")
    found = by_id(read_experiment(folder))["BBBBB"]
    assert found.parameters != {"seed": 8}  # another run's folder is not believed


def test_a_trial_that_never_said_what_it_got_has_no_parameters(make: Make) -> None:
    trials = by_id(read_experiment(make()))

    assert trials["CCCCC"].parameter_id is None and trials["CCCCC"].parameters is None


def test_a_trial_without_metrics_pairs_by_its_run_json(make: Make) -> None:
    folder = make()
    run = RunFolder.create(trial_folder(folder, "CCCCC"), "CCCCC", {"seed": 3}, parameter_id=3)
    run.set_status("failed", "seed: too odd")

    trial = by_id(read_experiment(folder))["CCCCC"]

    assert trial.parameters == {"strategy": "darts", "seed": 3}
    assert trial.error == "seed: too odd"


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("error: lr: must be above 0 (got -1)\n", "lr: must be above 0 (got -1)"),
        (
            "Traceback (most recent call last):\n  File x, line 1\n    import nni\n"
            "ModuleNotFoundError: No module named 'nni'\n\n",
            "ModuleNotFoundError: No module named 'nni'",
        ),
        ("", "it ended without a message (killed?)"),
        ("x" * 200_000 + "\nlast\x1b[31m words", "last?[31m words"),
    ],
)
def test_the_error_of_a_failed_trial_is_one_line(make: Make, stderr: str, line: str) -> None:
    folder = make()
    (trial_folder(folder, "CCCCC") / "trial.stderr").write_text(stderr)

    assert by_id(read_experiment(folder))["CCCCC"].error == line


def test_status_order_and_settings_that_vary(make: Make) -> None:
    experiment = read_experiment(make())

    assert [trial.trial_id for trial in experiment.trials] == ["AAAAA", "BBBBB", "CCCCC", "DDDDD"]
    states = [trial.status for trial in experiment.trials]
    assert states == ["SUCCEEDED", "SUCCEEDED", "FAILED", "WAITING"]
    assert experiment.varied == ("seed", "alpha_lr")
    assert (experiment.max_trials, experiment.port, experiment.managed) == (4, 8080, False)


@pytest.mark.parametrize(
    ("last", "status"),
    [("USER_TO_CANCEL", "USER_CANCELED"), ("ADD_RESUMED", "WAITING"), ("EARLY_STOPPED",) * 2],
)
def test_what_the_last_event_makes_of_a_trial(make: Make, last: str, status: str) -> None:
    events = [event("AAAAA", "RUNNING", 0, 0), event("AAAAA", last, 0)]

    assert read_experiment(make(events=events, metrics=[])).trials[0].status == status


@pytest.mark.parametrize(
    ("names", "own", "status"),
    [
        # what NNI 3.0 stores for a trial that was killed, cancelled, or cancelled and ended before
        (("RUNNING", "USER_CANCELED"), "running", "FAILED"),
        (("RUNNING", "USER_TO_CANCEL", "USER_CANCELED"), "running", "USER_CANCELED"),
        (("RUNNING", "USER_CANCELED", "USER_TO_CANCEL"), "running", "USER_CANCELED"),
        # NNI's SIGINT makes a trial of ours exit with 130
        (("RUNNING", "USER_TO_CANCEL", "FAILED"), "interrupted", "USER_CANCELED"),
        (("RUNNING", "FAILED"), "interrupted", "USER_CANCELED"),
        (("RUNNING", "FAILED"), "running", "FAILED"),
        # cancelled once, resumed, then killed
        (("USER_TO_CANCEL", "ADD_RESUMED", "USER_CANCELED"), "running", "FAILED"),
        (("RUNNING", "USER_CANCELED"), None, "FAILED"),
        (("RUNNING", "EARLY_STOPPED"), None, "EARLY_STOPPED"),
        (("RUNNING", "SUCCEEDED", "ADD_HYPERPARAMETER"), "finished", "SUCCEEDED"),
    ],
)
def test_a_killed_trial_failed_and_a_cancelled_one_did_not(
    make: Make, names: tuple[str, ...], own: str | None, status: str
) -> None:
    folder = make(events=[event("AAAAA", name, 0) for name in names], metrics=[])
    if own is not None:
        RunFolder.create(trial_folder(folder, "AAAAA"), "AAAAA", {}).set_status(own)
    (trial_folder(folder, "AAAAA") / "trial.stderr").write_text("UserWarning: nothing much\n")

    experiment = read_experiment(folder)

    (trial,) = experiment.trials
    assert trial.status == status
    assert experiment.failed == ((trial,) if status == "FAILED" else ())
    killed = status == "FAILED" and names[-1] == "USER_CANCELED"
    if killed:
        assert trial.error == "it was killed, or its machine was lost"
        assert [(run.status, run.info["error"]) for run in resolve("exp1")] == [
            ("failed", trial.error)
        ]


def test_analyze_ends_with_an_error_where_a_trial_of_an_experiment_failed(make: Make) -> None:
    folder = make(events=[*MISPAIRED_EVENTS, event("DDDDD", "USER_CANCELED", 3)])
    for trial in ("AAAAA", "BBBBB"):
        RunFolder.create(trial_folder(folder, trial), trial, {}).set_status("finished")
    (trial_folder(folder, "CCCCC") / "trial.stderr").write_text("error: no such strategy\n")

    for name in ("exp1", "latest", str(folder)):
        answer = CliRunner().invoke(main, ["analyze", name])
        assert answer.exit_code == 1
        assert answer.stderr == (
            "error: NNI experiment exp1: 2 of 4 trials failed: trial 2 (CCCCC): no such strategy "
            "(--allow-failed accepts this)\n"
        )
        assert "run AAAAA" in answer.stdout and "run DDDDD" in answer.stdout
    as_json = CliRunner().invoke(main, ["analyze", "exp1", "--json"])
    assert as_json.exit_code == 1
    states = [run["status"] for run in json.loads(as_json.stdout)["runs"]]
    assert states == ["finished", "finished", "failed", "failed"]
    for words in (["exp1", "--allow-failed"], ["CCCCC"], ["AAAAA", "BBBBB"]):
        answer = CliRunner().invoke(main, ["analyze", *words])
        assert (answer.exit_code, answer.stderr) == (0, "")


def test_analyze_of_an_experiment_without_failed_trials_is_no_error(make: Make) -> None:
    make(events=[e for e in MISPAIRED_EVENTS if e[1] != "CCCCC"])

    assert CliRunner().invoke(main, ["analyze", "exp1"]).exit_code == 0


def test_the_database_is_not_written(make: Make) -> None:
    folder = make()
    database = folder / "db" / "nni.sqlite"
    database.chmod(0o444)
    before = database.read_bytes()

    read_experiment(folder)

    assert database.read_bytes() == before
    assert sorted(entry.name for entry in database.parent.iterdir()) == ["nni.sqlite"]


def test_a_copy_is_not_taken_for_the_listed_experiment(make: Make, tmp_path: Path) -> None:
    folder = make()
    copy = tmp_path / "elsewhere" / folder.name
    copy.parent.mkdir()
    folder.rename(copy)
    folder.mkdir()

    assert read_experiment(copy).port is None


def test_unreadable_experiments_are_one_line(make: Make, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no NNI experiment: db/nni.sqlite is missing"):
        read_experiment(tmp_path)
    folder = make()
    (folder / "db" / "nni.sqlite").write_bytes(b"not a database, but long enough to look" * 50)
    with pytest.raises(RunError, match="cannot read the NNI experiment .*not a database"):
        read_experiment(folder)
    (folder / "db" / "nni.sqlite").write_bytes(b"")
    with pytest.raises(RunError, match="no such table"):
        read_experiment(folder)


def test_status_of_a_manager_that_is_gone(make: Make) -> None:
    assert manager_status(read_experiment(make())) == "STOPPED"
    assert manager_status(read_experiment(make("exp2", status="RUNNING"))) == "STOPPED"
    assert manager_status(read_experiment(make("exp3", status="ERROR"))) == "ERROR"
    stop_manager(read_experiment(make("exp4", status="RUNNING")))  # nothing to stop, no error


def test_the_cause_of_an_experiments_error_comes_from_its_logs(make: Make) -> None:
    folder = make()
    assert last_error_of_manager(folder) is None
    (folder / "log").mkdir()
    (folder / "log" / "dispatcher.log").write_text(
        "[2026-01-01 00:00:00] INFO (nni) hello\nTraceback (most recent call last):\n"
        "  File \"x.py\", line 1\nModuleNotFoundError: No module named 'no_tuner'\n"
    )
    assert last_error_of_manager(folder) == "ModuleNotFoundError: No module named 'no_tuner'"


def test_a_tuner_that_came_too_late_is_the_cause(make: Make) -> None:
    folder = make()
    (folder / "log").mkdir()
    late = "[2026-01-01 00:00:09] ERROR (NNIManager) Error: tuner_command_channel: Tuner did not connect in 10 seconds."  # noqa: E501
    (folder / "log" / "nnimanager.log").write_text(
        f"[2026-01-01 00:00:00] INFO (NNIManager) Setup tuner...\n{late}\n    at Timeout (x.js)\n"
        "[2026-01-01 00:00:09] ERROR (common.deferred) Already rejected with reason: Error: late\n"
        "[2026-01-01 00:00:10] INFO (NNIManager) Change NNIManager status from: ERROR to: STOPPED\n"
    )
    cause = last_error_of_manager(folder)
    assert cause == f"{late} The machine may have been too busy: start it again."


# --- resolve ------------------------------------------------------------------------------------


def test_an_experiment_resolves_to_all_its_trials(make: Make) -> None:
    folder = make()
    for trial, parameter_id in (("AAAAA", 1), ("BBBBB", 0)):
        path = trial_folder(folder, trial)
        run = RunFolder.create(path, trial, {"seed": parameter_id}, parameter_id=parameter_id)
        run.set_status("finished")
    (trial_folder(folder, "CCCCC") / "trial.stderr").write_text("error: no such strategy\n")

    for name in ("exp1", "latest", str(folder)):
        runs = resolve(name)
        assert [run.run_id for run in runs] == ["AAAAA", "BBBBB", "CCCCC", "DDDDD"]
        states = [run.status for run in runs]
        assert states == ["finished", "finished", "failed", "interrupted"]
        assert runs[2].info["error"] == "no such strategy"
        assert [run.config.get("seed") for run in runs] == [1, 0, None, None]
    assert not (trial_folder(folder, "CCCCC") / "run.json").exists()  # reading writes nothing


def test_a_trial_and_its_folder_resolve_to_one_run(make: Make) -> None:
    folder = make()
    RunFolder.create(trial_folder(folder, "AAAAA"), "AAAAA", {}).set_status("finished")

    for name in ("AAAAA", str(trial_folder(folder, "AAAAA"))):
        assert [run.run_id for run in resolve(name)] == ["AAAAA"]


def test_a_killed_trial_does_not_stay_running(make: Make) -> None:
    folder = make()
    RunFolder.create(trial_folder(folder, "CCCCC"), "CCCCC", {})  # kill -9: run.json says running

    (run,) = resolve("CCCCC")

    assert run.status == "failed"
    assert run.info["error"] == "it ended without a message (killed?)"


def test_a_run_id_resolves_under_the_runs_root(make: Make, tmp_path: Path) -> None:
    make()
    RunFolder.create(tmp_path / "runs" / "darts-s1", "darts-s1", {})

    assert [run.run_id for run in resolve("darts-s1")] == ["darts-s1"]
    assert [run.run_id for run in resolve("latest")] == ["darts-s1"]  # newer than 1970's experiment


def test_the_latest_experiment_is_the_last_started_that_exists(make: Make) -> None:
    make("old", startTime=1000)
    make("new", startTime=3000)
    gone = make("gone", startTime=4000)
    gone.rename(gone.with_name("moved"))

    assert {run.info["experiment_id"] for run in resolve("latest")} == {"new"}


@pytest.mark.parametrize("name", ["nope", "../nope", "a" * 300, "x\ny", "%2e%2e"])
def test_unknown_names_are_one_line_that_says_what_exists(make: Make, name: str) -> None:
    make()
    with pytest.raises(RunError) as caught:
        resolve(name)
    message = str(caught.value)
    assert "unknown run" in message and "exp1" in message and "\n" not in message


def test_nothing_to_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    with pytest.raises(RunError, match="no run yet"):
        resolve("latest")
    with pytest.raises(RunError, match="the run id is empty"):
        resolve(" ")
    with pytest.raises(RunError, match=r"holds no run: run\.json is missing"):
        resolve(str(tmp_path))


def test_an_experiment_without_trials(make: Make) -> None:
    make(events=[], metrics=[])
    with pytest.raises(RunError, match=r"has no trials \(yet\)"):
        resolve("exp1")


def test_a_half_written_list_of_experiments(make: Make, tmp_path: Path) -> None:
    make()
    (tmp_path / "nni-experiments" / ".experiment").write_text('{"exp1": {"id"')
    with pytest.raises(RunError, match="truncated or not JSON"):
        resolve("exp1")


def test_the_trials_command_prints_the_right_pairs(make: Make) -> None:
    folder = make()

    done = CliRunner().invoke(trials_command, [folder.name, "--json"])

    assert done.exit_code == 0, done.output
    rows = {row["trial_id"]: row for row in json.loads(done.output)}
    assert rows["BBBBB"]["parameters"] == {"strategy": "darts", "seed": 0}
    assert rows["BBBBB"]["result"] == 12.0
    assert rows["AAAAA"]["parameters"] == {"strategy": "darts", "seed": 1}
    assert rows["AAAAA"]["result"] == 22.0
    table = CliRunner().invoke(trials_command, ["latest"])
    assert table.exit_code == 0 and "BBBBB\tSUCCEEDED\t12.0" in table.output


def test_the_trials_command_names_an_unknown_experiment(make: Make) -> None:
    make()

    with pytest.raises(RunError, match="unknown NNI experiment 'nope'"):
        CliRunner().invoke(trials_command, ["nope"], catch_exceptions=False)
