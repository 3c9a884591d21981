"""`watch` on experiments that are made up here; a real one is watched in tests/nni."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.service.experiment import NniExperiment, NniTrial


def trial(number: int, status: str, **changes: Any) -> NniTrial:  # noqa: ANN401
    made = NniTrial(
        trial_id=f"tri{number}",
        number=number,
        status=status,
        folder=Path("nowhere"),
        parameter_id=number,
        parameters={"strategy": "darts", "order": number + 1, "seed": 1, "epochs": 4},
        intermediate=(),
        final=None,
        error=None,
    )
    return replace(made, **changes)


def experiment(folder: Path, *trials: NniTrial) -> NniExperiment:
    return NniExperiment(
        experiment_id="exp1",
        folder=folder,
        name="demo",
        port=8080,
        pid=None,
        url_prefix="",
        status="RUNNING",
        start_ms=0,
        max_trials=2,
        varied=("order",),
        trials=trials,
    )


def epochs(*accuracies: float) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"default": value, "true_accuracy": value, "epoch": number}
        for number, value in enumerate(accuracies)
    )


class Stage:
    """What the patched manager and experiment show, one scene a look; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.scenes: Iterator[tuple[str, tuple[NniTrial, ...]]] = iter(())
        self.scene: tuple[str, tuple[NniTrial, ...]] = ("RUNNING", ())
        self.stopped: list[str] = []
        module = "nni_wiring.commands.watch"
        monkeypatch.setattr(f"{module}.latest_experiment", lambda: "exp1")
        monkeypatch.setattr(f"{module}.experiment_folder", lambda name: folder)
        monkeypatch.setattr(f"{module}.read_experiment", self.read)
        monkeypatch.setattr(f"{module}.manager_status", lambda experiment: self.scene[0])
        stop = lambda experiment: self.stopped.append(experiment.experiment_id)  # noqa: E731
        monkeypatch.setattr(f"{module}.stop_manager", stop)
        monkeypatch.setattr(f"{module}._INTERVAL_SECONDS", 0.0)
        monkeypatch.setattr(NniExperiment, "managed", True)

    def play(self, *scenes: tuple[str, tuple[NniTrial, ...]], arguments: tuple = ()) -> Any:  # noqa: ANN401
        self.scenes = iter(scenes)
        return CliRunner().invoke(main, ["watch", *arguments])

    def read(self, folder: Path) -> NniExperiment:
        scene = next(self.scenes, self.scene)
        if scene[0] == "Ctrl-C":
            self.scenes = iter(())
            raise KeyboardInterrupt
        self.scene = scene
        return experiment(self.folder, *self.scene[1])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def test_each_change_is_a_line_and_nothing_is_said_twice(stage: Stage) -> None:
    running = trial(0, "RUNNING", intermediate=epochs(50.0))
    further = trial(0, "RUNNING", intermediate=epochs(50.0, 61.25))
    done = trial(0, "SUCCEEDED", intermediate=epochs(50.0, 61.25), final=epochs(61.25)[0])

    result = stage.play(
        ("RUNNING", (running,)),
        ("RUNNING", (running,)),
        ("RUNNING", (further, trial(1, "WAITING"))),
        ("DONE", (done, trial(1, "FAILED", error="order: must be 1 or 2"))),
        arguments=("--allow-failed",),
    )

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == len(set(lines))
    assert "trial 0 (tri0)  darts order=1  running  epoch 1/4  true accuracy 50.00 %" in lines
    assert "trial 0 (tri0)  darts order=1  finished  epoch 2/4  true accuracy 61.25 %" in lines
    assert "trial 1 (tri1)  darts order=2  failed  order: must be 1 or 2" in lines
    assert lines[0].startswith("NNI experiment exp1 demo  RUNNING  0 of 2 trials done")
    assert "http://127.0.0.1:8080" in lines[0]
    assert lines[-1] == "NNI experiment exp1: 1 of 2 trials succeeded"
    assert not stage.stopped


def test_a_space_without_truth_shows_the_supernets_accuracy(stage: Stage) -> None:
    metric = {"default": 33.0, "supernet_accuracy": 33.0, "epoch": 0}

    result = stage.play(("DONE", (trial(0, "SUCCEEDED", intermediate=(metric,)),)))

    assert "supernet accuracy 33.00 %" in result.stdout


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        ({"default": 91.0, "test_accuracy": 91.0, "epoch": 0}, "test accuracy 91.00 %"),
        ({"default": 50.0, "trainings": 3.0}, "trained 50.00 %"),
    ],
)
def test_a_training_and_a_slice_show_figures_of_their_own(
    stage: Stage, metric: dict[str, float], line: str
) -> None:
    result = stage.play(("DONE", (trial(0, "SUCCEEDED", intermediate=(metric,)),)))

    assert line in result.stdout and "supernet" not in result.stdout


@pytest.mark.parametrize(
    ("status", "trials", "line"),
    [
        (
            "DONE",
            (trial(0, "FAILED", error="no such data"),),
            "none of 1 trials succeeded, 1 failed: no such",
        ),
        ("STOPPED", (trial(0, "USER_CANCELED"),), "none of 1 trials succeeded: they were stopped"),
        ("STOPPED", (), "none of 0 trials succeeded: it has no trials"),
        ("ERROR", (trial(0, "SUCCEEDED"),), "ended with an error: see "),
    ],
)
def test_an_experiment_that_brought_nothing_fails(
    stage: Stage, status: str, trials: tuple, line: str
) -> None:
    result = stage.play((status, trials), arguments=("--stop",))

    assert result.exit_code == 1
    assert line in result.stderr
    assert stage.stopped == ["exp1"]  # also when it failed


def test_failed_trials_are_counted_in_one_line_and_an_exit_code(stage: Stage) -> None:
    trials = (
        trial(0, "SUCCEEDED"),
        trial(1, "FAILED", error="order: must be 1 or 2"),
        trial(2, "USER_CANCELED"),
        trial(3, "FAILED", error="it was killed"),
    )

    result = stage.play(("DONE", trials), arguments=("--stop",))

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "NNI experiment exp1: 1 of 4 trials succeeded"
    assert result.stderr == (
        "error: NNI experiment exp1: 2 of 4 trials failed: trial 1 (tri1): order: must be 1 or 2 "
        "(--allow-failed accepts this)\n"
    )
    assert stage.stopped == ["exp1"]
    allowed = stage.play(("DONE", trials), arguments=("--allow-failed",))
    assert (allowed.exit_code, allowed.stderr) == (0, "")
    cancelled = stage.play(("DONE", (trials[0], trials[2])))
    assert (cancelled.exit_code, cancelled.stderr) == (0, "")


def test_allowed_failures_do_not_hide_that_nothing_succeeded(stage: Stage) -> None:
    scene = ("DONE", (trial(0, "FAILED", error="no such data"),))

    assert stage.play(scene, arguments=("--allow-failed",)).exit_code == 1


def test_a_tuner_without_more_trials_ends_it_once_all_have_ended(stage: Stage) -> None:
    # NNI keeps this status for ever; a trial that waits may be stored a moment late
    first, second = trial(0, "SUCCEEDED"), trial(1, "SUCCEEDED")

    result = stage.play(
        ("TUNER_NO_MORE_TRIAL", (first,)),
        ("TUNER_NO_MORE_TRIAL", (first, trial(1, "RUNNING"))),
        ("TUNER_NO_MORE_TRIAL", (first, second)),
    )

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "NNI experiment exp1: 2 of 2 trials succeeded"


@pytest.mark.parametrize("stop", [False, True])
def test_ctrl_c_leaves_the_experiment_or_stops_it(stage: Stage, stop: bool) -> None:
    arguments = ("--stop",) if stop else ()

    result = stage.play(("RUNNING", (trial(0, "RUNNING"),)), ("Ctrl-C", ()), arguments=arguments)

    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert stage.stopped == (["exp1"] if stop else [])
    assert ("nnictl stop" in result.stderr) is not stop


def test_nothing_to_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    unknown = CliRunner().invoke(main, ["watch", "nope"])
    latest = CliRunner().invoke(main, ["watch"])

    assert (unknown.exit_code, latest.exit_code) == (1, 1)
    assert "unknown NNI experiment 'nope'" in unknown.stderr
    assert "no NNI experiment yet" in latest.stderr
