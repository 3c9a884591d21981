"""Every study at its smallest: it runs, is deterministic, and goes on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.studies.registry import STUDIES, study
from nni_wiring.studies.running import run_study, study_folder

TINY: dict[str, Any] = {
    "data": "digits",
    "channels": 4,
    "cells": 1,
    "batch_size": 8,
    "epochs": 2,
    "max_steps": 2,
    "seeds": 1,
}
OWN: dict[str, dict[str, Any]] = {
    "cost-at-initialisation": {"batches": 3},
    "cost-after-training": {"batches": 3},
    "cost-decomposition": {"batches": 1},
    "growing": {"strategies": ["dsnas"]},
    "bilevel-failure": {"strategies": ["darts"], "fractions": [0.25, 1.0]},
    "sensitivity": {"epochs": 1},
    "width-cost": {},
    "unified-view": {"draws": 2},
    "cost-vs-truth": {"strategies": ["darts"]},
    "strength": {"batches": 1, "tune_steps": 1},
    "skip-dominance": {},
    "convergence": {"pairs": 1, "rates": ["full"]},
    "landscape": {
        "pairs": 1,
        "points": 3,
        "gradient_points": 1,
        "images": 64,
        "products": 2,
    },
    "shuffling": {"cells": 2, "shuffles": 1, "batches": 2},
    "failure-spaces": {
        "spaces": ["nasbench201_s2", "darts_s2"],
        "selection_settings": {"tune_epochs": 0, "batches": 1},
    },
}


def run(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    found = study(name)
    options = found.options({**TINY, **OWN[name], **changes})
    return run_study(found, options, folder)


def measured(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("tables", "verdicts", "numbers", "rows")}


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)  # those of the truth alone have tests of their own
def test_a_study_writes_tables_verdicts_and_pictures_and_repeats(name: str, tmp_path: Path) -> None:
    result = run(name, tmp_path / "study")
    assert result["tables"] and all(table["rows"] for table in result["tables"])
    for table in result["tables"]:
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    allowed = {"holds", "holds in part", "does not hold", "cannot be said"}
    assert result["verdicts"] and {v["verdict"] for v in result["verdicts"]} <= allowed
    for verdict in result["verdicts"]:
        assert verdict["n"] is not None and verdict["null"]
        if verdict["null"] != "exact":  # one seed decides nothing that is tested
            assert verdict["verdict"] == "cannot be said"
            assert "needed" in verdict["evidence"] and "null: " in verdict["evidence"]
    assert result["rows"] and all("seed" in row for row in result["rows"])
    assert (result["seeds"], result["threads"]) == ([1], 1)
    assert result["pictures"]
    for picture in result["pictures"]:
        assert (tmp_path / "study" / picture).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "study" / "study.json").read_text())["study"] == name
    again = run(name, tmp_path / "study")  # nothing is measured twice
    assert measured(again) == measured(result)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cost-after-training", "cost-decomposition", "strength"])
def test_a_study_is_deterministic(name: str, tmp_path: Path) -> None:
    assert measured(run(name, tmp_path / "a")) == measured(run(name, tmp_path / "b"))


@pytest.mark.slow
def test_the_output_s_cost_is_l_minus_h_where_an_output_node_feeds_another(tmp_path: Path) -> None:
    """The rows' own numbers, in S1's minimal cell, whose sum over edges counts one edge twice."""
    result = run("cost-decomposition", tmp_path, space="minimal", max_steps=6)
    gaps = [
        row["loss"] - row["entropy"] - row["output_cost"] for row in result["rows"] if row["images"]
    ]
    assert len(gaps) > 4 and max(map(abs, gaps)) < 1e-10
    [identity] = [one for one in result["verdicts"] if one["null"] == "exact"]
    assert identity["verdict"] == "holds"


@pytest.mark.slow
def test_an_interrupted_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("growing", tmp_path / "whole", seeds=2)
    from nni_wiring.search import run as search

    original, started = search.run_search, []

    def stop_at_the_second(config: Any, folder: Any, **kwargs: Any) -> Any:
        started.append(folder.run_id)
        if len(started) == 2:
            raise KeyboardInterrupt
        return original(config, folder, **kwargs)

    monkeypatch.setattr(search, "run_search", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run("growing", tmp_path / "cut", seeds=2)
    result = run("growing", tmp_path / "cut", seeds=2)
    assert started == ["dsnas-s1", "dsnas-s2", "dsnas-s2"]
    assert measured(result) == measured(whole)


def test_options_are_checked_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'nothing' is not known; allowed: cost-at"):
        study("nothing")
    with pytest.raises(ConfigError, match="epochz"):
        study("growing").options({"epochz": 3})
    with pytest.raises(ConfigError, match="seeds='two'"):
        study("growing").options({"seeds": "two"})
    for name in STUDIES:
        study(name).options({}, "paper")
        study(name).options({})


def test_a_folder_belongs_to_one_set_of_options(tmp_path: Path) -> None:
    run("cost-at-initialisation", tmp_path / "study")
    with pytest.raises(RunError, match="other options"):
        run("cost-at-initialisation", tmp_path / "study", seeds=2)
    found = study("growing")
    one, two = (found.options({"seeds": n}) for n in (1, 2))
    assert study_folder(found, one) != study_folder(found, two)
    assert study_folder(found, one) == study_folder(found, dict(one))


@pytest.mark.slow
def test_a_folder_of_an_older_version_is_gone_on_with(tmp_path: Path) -> None:
    whole = run("bilevel-failure", tmp_path / "study", seeds=2)
    for path in sorted((tmp_path / "study").rglob("run.json")):
        info = json.loads(path.read_text())
        assert info["status"] == "finished"
        for name in ("cutout", "affine", "compile"):  # options that it did not have
            del info["config"][name]
        path.write_text(json.dumps(info))
    kept = json.loads((tmp_path / "study" / "options.json").read_text())
    own = study("bilevel-failure").own
    assert kept["options"].pop("fractions") == own["fractions"]
    (tmp_path / "study" / "options.json").write_text(json.dumps(kept))
    again = run("bilevel-failure", tmp_path / "study", seeds=2)
    assert measured(again) == measured(whole)
    with pytest.raises(RunError, match="other options"):
        run("bilevel-failure", tmp_path / "study", seeds=2, cutout=2)


def test_the_command() -> None:
    listed = CliRunner().invoke(main, ["study", "--json"])
    assert set(json.loads(listed.output)) == set(STUDIES)
    assignments = ["channels=4", "batch_size=8", "batches=2", "max_steps=2"]
    options = [part for text in assignments for part in ("--set", text)]
    command = ["study", "cost-at-initialisation", "--data", "digits", "--seeds", "1", *options]
    shown = CliRunner().invoke(main, [*command, "--json"], catch_exceptions=False)
    assert shown.exit_code == 0
    result = json.loads(shown.stdout)
    assert result["verdicts"][0]["claim"].startswith("at initialisation")
    plain = CliRunner().invoke(main, command, catch_exceptions=False)
    assert "dL/dZ" in plain.output and "picture:" in plain.output
    assert "seeds 1; 1 CPU thread(s)" in plain.output
    wrong = CliRunner().invoke(main, ["study", "nothing"])
    assert wrong.exit_code == 1
