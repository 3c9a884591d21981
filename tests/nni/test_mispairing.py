"""Two trials at once on a real manager: NNI pairs parameters wrongly, this project must not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.manifest import experiment_folder

if TYPE_CHECKING:
    from conftest import NniRunner

# The first trial asks for its parameters last, so the manager hands it the second trial's.
TRIAL = """
import pathlib, time, nni
asked = pathlib.Path("asked")
while nni.get_sequence_id() == 0 and not asked.exists():
    time.sleep(0.1)
parameters = nni.get_next_parameter()
asked.touch()
nni.report_intermediate_result({"default": parameters["x"] / 2, "epoch": 0})
nni.report_final_result({"default": parameters["x"], "parameters": parameters})
"""
CONFIG = """
trialCommand: python trial.py
trialCodeDirectory: .
trialConcurrency: 2
maxTrialNumber: 2
searchSpace:
  x: {_type: choice, _value: [10, 20]}
tuner: {name: GridSearch}
trainingService: {platform: local}
"""


@pytest.mark.slow
def test_parameters_are_those_that_the_trial_says_it_got(nni: NniRunner, tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(TRIAL)
    (tmp_path / "experiment.yml").write_text(CONFIG)
    experiment_id = nni.create(tmp_path / "experiment.yml")

    watched = nni.cli("watch", experiment_id, "--stop")

    assert watched.returncode == 0, watched.stderr
    assert "2 of 2 trials succeeded" in watched.stdout
    folder = experiment_folder(experiment_id)
    assert folder is not None
    experiment = read_experiment(folder)
    assert not experiment.managed
    first, second = experiment.trials
    # the oracle is what each process itself received and sent back
    assert first.final is not None and second.final is not None
    assert first.parameters == first.final["parameters"] == {"x": 20}
    assert second.parameters == second.final["parameters"] == {"x": 10}
    assert [metric["default"] for metric in first.intermediate] == [10.0]
