"""A strategy, relaxation, space, selection and data set of another package under a real manager."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from plugin_package import install

from nni_wiring.service.resolve import resolve

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
SETTINGS = {
    "strategy": "tiny_sharp",
    "sharpness": 3.0,
    "space": "tiny_triangle",
    "knots": 1,
    "data": "tiny_stripes",
    "selection": "tiny_second",
    "epochs": 2,
    "max_steps": 2,
    "batch_size": 8,
}


@pytest.mark.slow
def test_from_create_to_analysis(nni: NniRunner, tmp_path: Path) -> None:
    install(tmp_path / "site")
    nni.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "site"), str(REPO)])
    config = yaml.safe_load((REPO / "tuner_configs" / "quickstart.yml").read_text())
    config |= {
        "searchSpace": {k: {"_type": "choice", "_value": [v]} for k, v in SETTINGS.items()},
        "maxTrialNumber": 1,
        "trialCodeDirectory": str(REPO),
    }
    (tmp_path / "plugin.yml").write_text(yaml.safe_dump(config))

    experiment_id = nni.create(tmp_path / "plugin.yml")
    watched = nni.cli("watch", experiment_id, "--stop")

    assert watched.returncode == 0, watched.stdout + watched.stderr
    (run,) = resolve(experiment_id)
    assert run.status == "finished" and {k: run.config[k] for k in SETTINGS} == SETTINGS
    result, last = run.result(), run.epochs()[-1]
    assert result is not None and result["selection"] == "tiny_second"
    second = {edge: sorted(row, key=row.get)[-2] for edge, row in last["z"].items()}
    assert result["arch"] == ";".join(f"{edge}={name}" for edge, name in second.items())
    analysed = nni.cli("analyze", experiment_id, "--json")
    assert analysed.returncode == 0, analysed.stderr
    assert json.loads(analysed.stdout)["runs"][0]["strategy"] == "tiny_sharp"
