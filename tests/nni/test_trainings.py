"""Trainings and slices of a table under a real NNI manager, in one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tiny_truths import NINE, TRAINING, images, listed, options

from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.work import run_build
from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.manifest import experiment_folder
from nni_wiring.service.resolve import resolve
from nni_wiring.truth import load_table
from nni_wiring.truth.catalogue import forget

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
CELLS = NINE[1:4]


def point_of(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """A point of a shipped search space, with other values for some of its parameters."""
    config = yaml.safe_load((REPO / "tuner_configs" / name).read_text())
    first = {key: choice["_value"][0] for key, choice in config["searchSpace"].items()}
    return first | changes


@pytest.mark.slow
def test_trainings_and_slices_from_create_to_a_table(
    nni: NniRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cells = images(tmp_path), listed(tmp_path, CELLS)
    given = {"space": "nasbench201", "seeds": "1", "data": data, "cell_list": cells, **TRAINING}
    trained = point_of("train.yml", data=data, max_steps=2, **TRAINING)
    slices = [point_of("build.yml", slice=part, **given) for part in ("1/2", "2/2")]
    config = yaml.safe_load((REPO / "tuner_configs" / "build.yml").read_text())
    config |= {
        "searchSpace": {"combine_params": {"_type": "choice", "_value": [trained, *slices]}},
        "maxTrialNumber": 3,
        "tuner": {"name": "Batch"},
        "trialCodeDirectory": str(REPO),
    }
    (tmp_path / "trainings.yml").write_text(yaml.safe_dump(config))

    experiment_id = nni.create(tmp_path / "trainings.yml")
    watched = nni.cli("watch", experiment_id, "--stop")

    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "3 of 3 trials succeeded" in watched.stdout
    folder = experiment_folder(experiment_id)
    assert folder is not None
    metrics = {one.trial_id: one.final for one in read_experiment(folder).trials}
    runs = {run.info["kind"]: run for run in resolve(experiment_id)}
    result, metric = runs["train"].result(), metrics[runs["train"].run_id]
    assert result is not None and metric is not None and result["arch"] == trained["arch"]
    assert metric["default"] == metric["test_accuracy"] == result["accuracy"]["test"]
    assert f"test accuracy {metric['default']:.2f} %" in watched.stdout
    assert f"trained {100:.2f} %" in watched.stdout

    cache = tmp_path / "cache"
    monkeypatch.setenv("NNI_WIRING_CACHE", str(cache))
    nni.environment["NNI_WIRING_CACHE"] = str(cache)
    merged = nni.cli("benchmark", "merge", "mine", str(folder))
    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert "table mine: 3 cells from 3 trainings (0 diverged)" in merged.stdout
    forget()
    table = load_table("mine")
    alone = BuildFolder.at(tmp_path / "alone", "alone", options(tmp_path, CELLS, seeds="1"))
    run_build(alone)
    for row in alone.rows().values():
        for epochs, parts in row.accuracy.items():
            for part, value in parts.items():
                column = table.values("grey", part, epochs)
                assert column[table.index_of(row.arch)] == pytest.approx(value, rel=1e-6)
