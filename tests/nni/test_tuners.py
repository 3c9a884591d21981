"""A registered tuner in a real experiment that is stopped half-way and resumed."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from nni.recoverable import Recoverable

from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.manifest import experiment_folder
from nni_wiring.service.nni_tuners import WiringEvolution, cell_of
from nni_wiring.truth import load_table
from nni_wiring.tuners.journal import Journal

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
TRIALS = 7


def finals(folder: Path) -> list[tuple[int, int, dict[str, Any]]]:
    """Time in milliseconds, parameter id and metric of every final result in NNI's database."""
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database:
        query = "select timestamp, parameterId, data from MetricData where type = 'FINAL'"
        rows = database.execute(query).fetchall()
    return [(time_ms, int(i), json.loads(json.loads(data))) for time_ms, i, data in rows]


def asked(folder: Path, identifier: int, time_ms: int) -> dict[str, Any]:
    """The last parameters that were handed out under an id by a time: an id may serve twice, see
    test_nni_counts_ids_anew_on_a_resume.
    """
    query = "select data from TrialJobEvent where timestamp <= ? order by rowid"
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database:
        rows = [json.loads(r[0]) for r in database.execute(query, [time_ms]) if r[0]]
    return [row["parameters"] for row in rows if row["parameter_id"] == identifier][-1]


def wait_for(folder: Path, count: int, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while len(finals(folder)) < count:
        assert time.monotonic() < end, [trial.error for trial in read_experiment(folder).trials]
        time.sleep(0.5)


@pytest.mark.slow
def test_values_are_paired_rightly_and_resume_goes_on(nni: NniRunner, tmp_path: Path) -> None:
    assert nni.cli("register").returncode == 0
    config = yaml.safe_load((REPO / "tuner_configs" / "evolution.yml").read_text())
    config |= {"maxTrialNumber": TRIALS, "trialCodeDirectory": str(REPO)}
    config["tuner"]["classArgs"] |= {"population": 4, "sample": 2, "seed": 7}
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    experiment = nni.create(tmp_path / "config.yml")
    folder = experiment_folder(experiment)
    assert folder is not None
    wait_for(folder, 3)
    assert nni.call("nnictl", "stop", experiment).returncode == 0
    before = Journal(folder / "checkpoint").read()
    assert sum(event.value is not None for event in before) >= 3
    resumed = nni.call("nnictl", "resume", experiment, "--port", str(_free_port()))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    wait_for(folder, TRIALS)
    nni.call("nnictl", "stop", experiment)

    table = load_table("bundled")
    for time_ms, identifier, metric in finals(folder):
        index = table.index_of(cell_of(asked(folder, identifier, time_ms)))
        assert metric["index"] == index
        truth = table.query(index)["accuracy"]["cifar10"]["valid"]
        assert metric["default"] == pytest.approx(truth, abs=1e-4)
    # every cell asked is what one tuner that was never stopped asks after the same answers
    events = Journal(folder / "checkpoint").read()
    assert events[: len(before)] == before
    tuner = WiringEvolution(seed=7, population=4, sample=2)
    for event in events:
        if event.value is None:
            assert tuner._sampler.ask() == event.cell
        else:
            tuner._sampler.tell(event.cell, event.value)
    told = [event for event in events if event.value is not None]
    assert len(told) == TRIALS


def test_nni_counts_ids_anew_on_a_resume() -> None:
    """NNI goes on after the largest id of the *unfinished* trials: where none was unfinished, or a
    later one had finished first, ids that finished trials had are given out again.
    """
    unfinished = {"parameter_id": 3, "parameters": {}}
    assert Recoverable().recover_parameter_id([unfinished]) + 1 == 4  # though 4 may have finished
    assert Recoverable().recover_parameter_id([]) + 1 == 1


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
