"""NNI databases that a stranger made: nothing computes, hangs, or is written outside."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nni_wiring.errors import RunError
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.database import MOST_ROWS
from nni_wiring.service.experiment import NniExperiment, read_experiment
from nni_wiring.service.resolve import resolve

PROFILE = "create table ExperimentProfile(params text, revision integer);"
EVENTS = "create table TrialJobEvent(trialJobId text, event text, data text, sequenceId);"
METRICS = "create table MetricData(trialJobId text, parameterId, type text, data);"
TABLES = PROFILE + EVENTS + METRICS
ENDLESS = (
    "create view TrialJobEvent as with recursive c(x) as (select 1 union all select x + 1 from c)"
    " select x as trialJobId, 'a' as event, '' as data, 1 as sequenceId, x as rowid from c;"
)
COMPUTED = EVENTS[:-2] + ", x as (hex(zeroblob(100))));"
HUGE = "insert into TrialJobEvent(data) values (zeroblob(20000000));"


def made(tmp_path: Path, script: str, **columns: object) -> NniExperiment:
    """Read the experiment whose database `script` makes, with one event of these columns."""
    folder = tmp_path / "exp1"
    (folder / "db").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as connection, connection:
        connection.executescript(script)
        if columns:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            row = f"insert into TrialJobEvent({names}) values({marks})"
            connection.execute(row, tuple(columns.values()))
    return read_experiment(folder)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (PROFILE + METRICS + ENDLESS, "TrialJobEvent is no plain table"),
        (PROFILE + METRICS + COMPUTED, "TrialJobEvent has computed columns"),
        (PROFILE + METRICS, "no such table: TrialJobEvent"),
        (TABLES + HUGE, "too big|longer"),
    ],
)
def test_what_is_no_plain_table_is_refused(script: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=expected):
        made(tmp_path, script)


def test_rows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ROWS >= 10_000  # an honest experiment's
    monkeypatch.setattr("nni_wiring.service.database.MOST_ROWS", 10)
    rows = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 11)"
    script = f"{rows} insert into TrialJobEvent(trialJobId) select x from c;"
    with pytest.raises(RunError, match="more than 10 rows"):
        made(tmp_path, TABLES + script)


def test_trials_without_end(tmp_path: Path) -> None:
    rows = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 20001)"
    script = f"{rows} insert into TrialJobEvent(trialJobId) select 't' || x from c;"
    with pytest.raises(RunError, match="more than 20000 trials"):
        made(tmp_path, TABLES + script)


def test_a_list_of_experiments_that_start_at_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "no runs"))
    folder = tmp_path / "nni-experiments"
    experiment = made(folder, TABLES, trialJobId="a", event="FAILED")
    entry = {"startTime": "abc", "logDir": str(folder)}
    (folder / ".experiment").write_text(json.dumps({experiment.experiment_id: entry}))
    assert [run.run_id for run in resolve("latest")] == ["a"]


@pytest.mark.parametrize(
    ("number", "read"),
    [("abc", 0), (float("inf"), 0), ("9" * 400, 0), (b"\x00", 0), (7, 7), (None, -1)],
)
def test_sequence_ids_that_are_no_numbers(number: object, read: int, tmp_path: Path) -> None:
    experiment = made(tmp_path, TABLES, trialJobId="a", event="RUNNING", sequenceId=number)
    assert [trial.number for trial in experiment.trials] == [read]


@pytest.mark.parametrize("trial_id", [b"\x00\x11", b"abc"])
def test_trial_ids_that_are_no_texts_are_left_out(trial_id: bytes, tmp_path: Path) -> None:
    assert made(tmp_path, TABLES, trialJobId=trial_id, event="RUNNING").trials == ()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[]," * 100_000])
def test_json_that_is_too_deep_or_too_long_is_no_object(text: str, tmp_path: Path) -> None:
    copied = "insert into MetricData values('a', 1, 'FINAL', new.data);"
    trigger = f"create trigger t after insert on TrialJobEvent begin {copied} end;"
    experiment = made(tmp_path, TABLES + trigger, trialJobId="a", event="RUNNING", data=text)
    (trial,) = experiment.trials
    assert (trial.parameters, trial.final) == (None, {})


def test_names_and_words_of_a_database_are_printable(tmp_path: Path) -> None:
    name = json.dumps({"experimentName": "\x1b]0;x\x07"})
    script = f"{TABLES} insert into ExperimentProfile values('{name}', 1);"
    experiment = made(tmp_path, script, trialJobId="a", event="\x1b[1m" * 999)
    assert experiment.name == r"\x1b]0;x\x07"
    status = experiment.trials[0].status
    assert status.isprintable() and len(status) < 200


@pytest.mark.parametrize("byte", [b"\x02", b"\xff"])
def test_what_sqlite_quotes_of_a_damaged_schema_is_printable(byte: bytes, tmp_path: Path) -> None:
    made(tmp_path, TABLES)
    (path,) = tmp_path.rglob("nni.sqlite")
    content = path.read_bytes()
    at = content.index(b"CREATE TABLE")
    path.write_bytes(content[:at] + byte + content[at + 1 :])
    with pytest.raises(RunError, match="cannot read the NNI experiment .*: ") as caught:
        read_experiment(path.parents[1])
    assert str(caught.value).isprintable()


def test_a_trial_folder_that_leads_out_of_the_experiment_is_refused(tmp_path: Path) -> None:
    """`analyze` wrote its report there."""
    RunFolder.create(tmp_path / "outside", "outside", {})
    environment = tmp_path / "exp1" / "environments" / "local-env"
    (environment / "trials").mkdir(parents=True)
    (environment / "trials" / "abc").symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="abc is a link"):
        made(tmp_path, TABLES, trialJobId="abc", event="SUCCEEDED")
    (environment / "trials" / "abc").unlink()
    environment.rename(tmp_path / "away")
    environment.symlink_to(tmp_path / "away")
    (tmp_path / "away" / "trials" / "abc").mkdir()
    with pytest.raises(RunError, match="abc is a link"):
        resolve(str(tmp_path / "exp1"))
