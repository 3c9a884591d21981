"""Every registered tuner through `nnictl create` at concurrency 2: are values paired rightly?

    .venv/bin/python performance/nni_tuners.py --port 8480 --trials 12

Uses a temporary home, so that nothing of the user's NNI is touched. For every tuner it prints how
many final results the database holds and for how many of them parameters, cell and accuracy agree
with the truth table, (a) by parameter id, (b) by the parameters inside the final metric, and
(c) as `nnictl experiment export` pairs them, which NNI gets wrong at concurrency 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from nni_wiring.service.nni_tuners import TUNERS, cell_of
from nni_wiring.truth import load_table

CONFIG = Path(__file__).resolve().parents[1] / "tuner_configs" / "evolution.yml"


def main() -> None:
    """Run one experiment a tuner and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8480)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--tuner", choices=[tuner.__name__ for tuner in TUNERS])
    options = parser.parse_args()
    for tuner in TUNERS:
        if options.tuner in (None, tuner.__name__):
            with tempfile.TemporaryDirectory(prefix="nni-tuners-") as folder:
                print(tuner.__name__, check(tuner.__name__, Path(folder), options), flush=True)


def check(name: str, folder: Path, options: argparse.Namespace) -> str:
    """Run the experiment of one tuner to its end in ``folder`` and judge its results."""
    config = yaml.safe_load(CONFIG.read_text())
    config |= {
        "maxTrialNumber": options.trials,
        "trialConcurrency": 2,
        "trialCodeDirectory": str(CONFIG.parents[1]),
        "tuner": {"name": name, "classArgs": {"seed": 1}},
    }
    (folder / "experiment.yml").write_text(yaml.safe_dump(config))
    environment = {
        **os.environ,
        "HOME": str(folder),
        "NNI_CONFIG_DIR": str(folder),
        "NNI_WIRING_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    registering = "from nni_wiring.commands.register import register; register([])"
    steps = (
        [sys.executable, "-c", registering],
        ["nnictl", "create", "--config", "experiment.yml", "--port", str(options.port), "-f"],
    )
    for step in steps:
        subprocess.run(step, cwd=folder, env=environment, check=True, capture_output=True)
    (experiment,) = (folder / "nni-experiments").glob("????????")
    with closing(sqlite3.connect(experiment / "db" / "nni.sqlite")) as database:
        return judge(database)


def judge(database: sqlite3.Connection) -> str:
    """Compare every final result with the table, under three ways of pairing."""
    asked: dict[int, Mapping[str, Any]] = {}
    by_trial: dict[str, int] = {}
    for trial, data in database.execute("select trialJobId, data from TrialJobEvent"):
        if data:
            parsed = json.loads(data)
            asked[parsed["parameter_id"]] = parsed["parameters"]
            by_trial.setdefault(trial, parsed["parameter_id"])
    finals = [
        (trial, int(identifier), json.loads(json.loads(data)))
        for trial, identifier, data in database.execute(
            "select trialJobId, parameterId, data from MetricData where type = 'FINAL'"
        )
    ]
    by_id = sum(agrees(asked[identifier], final) for _, identifier, final in finals)
    by_metric = sum(agrees(final, final) for _, _, final in finals)
    by_nni = sum(agrees(asked[by_trial[trial]], final) for trial, _, final in finals)
    return (
        f"{len(finals)} results; right by parameter id {by_id}, by the metric's own {by_metric}, "
        f"by NNI's export {by_nni}"
    )


def agrees(parameters: Mapping[str, Any], final: Mapping[str, Any]) -> bool:
    """Whether the result is that of the parameters, by the truth table."""
    table = load_table("bundled")
    index = table.index_of(cell_of(parameters))
    truth = table.query(index)["accuracy"]["cifar10"]["valid"]
    return final["arch"] == table.arch(index) and abs(truth - final["default"]) < 1e-4


if __name__ == "__main__":
    main()
