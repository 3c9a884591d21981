"""A package outside of this project, installed by its metadata alone, from search to report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_package import install

REPO = Path(__file__).resolve().parents[2]
OPTIONS = ("--strategy=tiny_sharp", "--space=tiny_triangle", "--data=tiny_stripes")
SMALL = ("sharpness=3.0", "knots=3", "width=2", "alpha_lr=0.3", "max_steps=2", "batch_size=8")
SEARCH = ("search", *OPTIONS, "--epochs=3", *(f"--set={option}" for option in SMALL))
LEFT_OUT = ("tiny_greedy", "'darts' is taken already by nni-wiring", "no_such_module")


#: Runs several commands in one process; prints what each of them printed.
SEVERAL = """
import contextlib, io, json, sys
from nni_wiring.commands import main
printed = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(command, standalone_mode=False)
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


class Machine:
    """A user's machine: a folder of packages, a folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.site, self.runs = folder / "site", folder / "runs"
        install(self.site)

    def cli(self, *command: str, plugin: bool = True, **variables: str) -> Any:
        """``python cli.py ...``, with the package or without."""
        return self.python(str(REPO / "cli.py"), *command, plugin=plugin, **variables)

    def python(self, *arguments: str, plugin: bool = True, **variables: str) -> Any:
        """``python ...``, with the package or without."""
        paths = [str(self.site), str(REPO)] if plugin else [str(REPO)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "NNI_WIRING_RUNS": str(self.runs),
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.site.parent,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def json(self, *command: str, **variables: str) -> Any:
        """What a command prints with ``--json``."""
        done = self.cli(*command, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def result(machine: Machine) -> dict[str, Any]:
    """What a whole search prints."""
    return machine.json(*SEARCH)


def records(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_what_it_brings_is_listed_and_the_rest_is_one_line_each(machine: Machine) -> None:
    commands = (
        ("strategies", "--json"),
        ("strategies", "--relaxations", "--json"),
        ("spaces", "--json"),
        ("study", "--json"),
        ("spaces", "--options=tiny_triangle", "--json"),
        ("strategies", "--options=tiny_sharp", "--space=tiny_triangle", "--json"),
        ("strategies", "--options=tiny_sharp", "--space=tiny_triangle"),
    )
    done = machine.python("-c", SEVERAL, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    *printed, table = json.loads(done.stdout)
    strategies, relaxations, spaces, studies, of_space, options = map(json.loads, printed)
    rows = {row["name"]: row for row in strategies}
    assert rows["tiny_sharp"]["relaxation"] == "tiny_sharp_softmax"
    assert "tiny_greedy" not in rows and rows["darts"]["paper"] != ""
    assert {"softmax", "tiny_sharp_softmax"} <= {row["name"] for row in relaxations}
    (space,) = [row for row in spaces if row["name"] == "tiny_triangle"]
    assert space["cells"] == 3**3 and not space["tabulated"]
    assert studies["tiny-study"].startswith("a test")
    assert of_space == {"width": 4, "knots": 2, "operations": None}
    assert options | of_space == options and options["sharpness"] == 2.0
    assert "cells" not in options
    for row in (
        "knots\tinteger\t2\t>= 1\tspace\t",
        "sharpness\tnumber\t2.0\t> 0\tstrategy\twhat alpha is multiplied by",
        "epochs\tinteger\t50\t>= 1\tweights\t",
    ):
        assert any(line.startswith(row) for line in table.splitlines()), row
    lines = done.stderr.splitlines()
    assert len(lines) == len(LEFT_OUT), done.stderr
    for word in LEFT_OUT:
        (line,) = [line for line in lines if word in line]
        assert line.startswith("warning: package tiny-plugin: its strategy ")
    (line,) = [line for line in lines if "tiny_greedy" in line]
    assert "strategy tiny_greedy: its setting 'epochs' has the name of an option of the run" in line


@pytest.mark.slow
def test_it_is_searched_as_it_says(machine: Machine, result: dict[str, Any]) -> None:
    config = result["config"]
    assert (config["sharpness"], config["knots"], config["data"]) == (3.0, 3, "tiny_stripes")
    assert result["data_note"] == "searched on stripes"
    lines = records(machine.runs / result["run_id"])
    assert len(lines) == 3
    for line in lines:
        for edge, entropy in line["statistics"]["tiny_entropy"].items():
            z = np.array(list(line["z"][edge].values()))
            assert entropy == pytest.approx(-(z * np.log(z)).sum(), rel=1e-6)
    for line in lines:
        assert list(line["alpha"]) == ["0-1", "0-2", "1-2"]
        for edge, row in line["alpha"].items():
            alpha = np.array(
                [row[name] for name in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")]
            )
            weights = np.exp(3.0 * alpha)  # sharpness x alpha
            z = np.array(list(line["z"][edge].values()))
            np.testing.assert_allclose(z, weights / weights.sum(), rtol=1e-5)
        assert len(line["cost_cells"]["alpha"]) == 3  # knots


@pytest.mark.slow
def test_an_interrupted_search_goes_on(machine: Machine, result: dict[str, Any]) -> None:
    before = set(machine.runs.iterdir())
    stopped = machine.cli(*SEARCH, TINY_PLUGIN_STOPS_AT="1")
    assert stopped.returncode == 130, stopped.stderr
    (folder,) = set(machine.runs.iterdir()) - before
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    resumed = machine.json("search", "--resume", folder.name)
    assert resumed["config"] == result["config"] and resumed["arch"] == result["arch"]
    assert records(folder) == records(machine.runs / result["run_id"])


@pytest.mark.slow
def test_its_run_is_analysed_and_selected_from(machine: Machine, result: dict[str, Any]) -> None:
    run_id = result["run_id"]
    (run,) = machine.json("analyze", run_id)["runs"]
    assert run["run_id"] == run_id and run["status"] == "finished"
    assert run["strategy"] == "tiny_sharp"
    found = machine.json("select", run_id, "--method=tiny_second")
    z = records(machine.runs / run_id)[-1]["z"]
    second = {edge: sorted(row, key=row.get)[-2] for edge, row in z.items()}
    assert found["operations"] == {"cell": second}


@pytest.mark.slow
def test_its_study_runs(machine: Machine) -> None:
    options = [f"--set={option}" for option in SMALL]
    found = machine.json("study", "tiny-study", "--epochs=1", *options)
    ((loss,),) = found["tables"][0]["rows"]
    assert loss > 0 and found["verdicts"][0]["verdict"] == "holds"


@pytest.mark.slow
def test_without_the_package_its_run_is_refused_in_one_line(
    machine: Machine, result: dict[str, Any]
) -> None:
    for command in (("select", result["run_id"]), SEARCH):
        done = machine.cli(*command, plugin=False)
        assert done.returncode == 1
        assert done.stderr.startswith(
            "error: strategy: 'tiny_sharp' is not known; allowed: darts, "
        )
        assert len(done.stderr.splitlines()) == 1
    # what was written is still read
    done = machine.cli("analyze", result["run_id"], "--json", plugin=False)
    assert done.returncode == 0, done.stderr
