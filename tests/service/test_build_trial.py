"""Slices of a table as NNI trials: what NNI is told, and what a merge makes of their folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nni
import pytest
import yaml
from tiny_truths import NINE, TRAINING, images, listed, options

from nni_wiring.building.finish import finish
from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.merge import merge
from nni_wiring.building.options import make_build_options
from nni_wiring.building.plan import Slice, make_plan
from nni_wiring.building.work import run_build
from nni_wiring.errors import BenchmarkError
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.trial import Job, open_run, run_job
from nni_wiring.truth.catalogue import forget

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    yield
    forget()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """What NNI is told."""
    told: dict[str, list[dict[str, Any]]] = {"intermediate": [], "final": []}
    monkeypatch.setattr(nni, "report_intermediate_result", told["intermediate"].append)
    monkeypatch.setattr(nni, "report_final_result", told["final"].append)
    return told


def job_of(tmp_path: Path, part: str) -> Job:
    """A trial of NNI's local service: its folder lies deep below the experiment's."""
    output = tmp_path / "exp1/environments/local-env/trials" / f"t{part[0]}"
    given = {"space": "nasbench201", "data": images(tmp_path), "seeds": "1", **TRAINING}
    cells = listed(tmp_path, NINE[:4])
    return Job({"slice": part, **given, "cell_list": cells}, output, f"t{part[0]}", "exp1", 7)


def test_the_slices_of_an_experiment_become_a_table(
    tmp_path: Path, sent: dict[str, list[dict[str, Any]]]
) -> None:
    jobs = [job_of(tmp_path, part) for part in ("1/2", "2/2")]
    for job in jobs:
        run_job(job, *open_run(job))
    assert [m["default"] for m in sent["intermediate"]] == [50.0, 100.0] * 2
    assert all(isinstance(v, (int, float)) for m in sent["final"] for v in m.values())
    assert [(m["default"], m["trainings"], m["diverged"]) for m in sent["final"]] == [
        (100, 2, 0)
    ] * 2
    assert RunFolder.open(jobs[0].output).status == "finished"
    merged = merge("mine", [tmp_path / "exp1"])
    assert merged.added == 4 and finish(merged.build, "mine").info["cells"] == 4
    alone = BuildFolder.at(tmp_path / "alone", "alone", options(tmp_path, NINE[:4], seeds="1"))
    run_build(alone)
    accuracies = {unit: row.accuracy for unit, row in alone.rows().items()}
    assert {unit: row.accuracy for unit, row in merged.build.rows().items()} == accuracies


def test_a_slice_that_was_stopped_goes_on(
    tmp_path: Path, sent: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, "1/1")
    run_job(job, *open_run(job))
    lines = (job.output / "rows.jsonl").read_text().splitlines(keepends=True)
    (job.output / "rows.jsonl").write_text("".join(lines[:3]))
    sequence: list[int] = []
    monkeypatch.setattr(nni.trial, "overwrite_intermediate_seq", sequence.append)
    sent["intermediate"].clear()
    other = replace(job, parameters={**job.parameters, "slice": "1/2"})  # as `nnictl resume` may
    run_job(other, *open_run(other))
    assert sequence == [3] and [m["default"] for m in sent["intermediate"]] == [100.0]
    assert sent["final"][-1]["trainings"] == 4
    assert RunFolder.open(job.output).info["parameters"]["slice"] == "1/1"


def test_a_wrong_slice_is_one_line(tmp_path: Path) -> None:
    job = job_of(tmp_path, "3/2")
    with pytest.raises(BenchmarkError, match="slice '3/2': expected I/N"):
        run_job(job, *open_run(job))


def test_the_shipped_experiment_builds_the_whole_space() -> None:
    config = yaml.safe_load((REPO / "tuner_configs" / "build.yml").read_text())
    space = {name: choice["_value"] for name, choice in config["searchSpace"].items()}
    parts = [Slice.parse(text) for text in space.pop("slice")]
    assert config["maxTrialNumber"] == len(parts) and {len(v) for v in space.values()} == {1}
    plan = make_plan(make_build_options({name: values[0] for name, values in space.items()}))
    units = [unit for part in parts for unit in plan.units(part)]
    assert len(units) == len(set(units)) and set(units) == set(plan.units())
