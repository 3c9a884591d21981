"""The study of the controller's conditioning at its smallest, and its reading of a policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nni_wiring.studies.controller_conditioning import UNCONDITIONED, reading, trained
from nni_wiring.studies.frame import run_study
from nni_wiring.studies.marginals import accuracy_cube
from nni_wiring.studies.registry import study
from nni_wiring.truth import load_table

VALUES = accuracy_cube(load_table(), "cifar10", "valid")


def test_an_untrained_controller_is_nearly_uniform_and_training_pays() -> None:
    """At the start E[valid] is that of a random cell, 83.69, and TC below 1e-4."""
    start, *_, end = trained(VALUES, seed=3, steps=80, learning_rate=0.02)
    assert (start["steps"], end["steps"]) == (0, 80)
    assert start["expectation"] == pytest.approx(VALUES.mean(), abs=0.5)
    assert -1e-12 < start["correlation"] < 1e-4
    assert end["expectation"] > start["expectation"] + 3
    assert end["best_expectation"] >= end["expectation"]


def test_the_best_policy_of_an_entropy_reads_as_itself() -> None:
    weights = np.exp((VALUES - VALUES.max()) / 0.5)
    found = reading(weights / weights.sum(), VALUES)
    assert found["correlation"] == pytest.approx(found["best_correlation"], abs=1e-6)
    assert found["expectation"] == pytest.approx(found["best_expectation"], abs=1e-6)


def test_the_verdict_is_about_the_share_of_the_best_correlation() -> None:
    assert UNCONDITIONED.judge([0.01, 0.0, 0.02, 0.0, 0.01]).verdict == "holds"
    assert UNCONDITIONED.judge([0.6, 0.7, 0.55, 0.6, 0.65]).verdict == "does not hold"
    assert UNCONDITIONED.judge([0.0]).verdict == "cannot be said"


def test_the_study_writes_its_findings_and_takes_finished_seeds_as_they_are(
    tmp_path: Path,
) -> None:
    found = study("controller-conditioning")
    options = found.options({"seeds": 2, "steps": 4}, paper=False)
    result = run_study(found, options, tmp_path / "study")
    assert [row["steps"] for row in result["rows"]] == [0, 1, 2, 3, 4] * 2
    assert {row["seed"] for row in result["rows"]} == {1, 2}
    assert result["verdicts"][0]["verdict"] == "cannot be said"
    said: list[str] = []
    again = run_study(found, options, tmp_path / "study", said.append)
    assert not said and again["rows"] == result["rows"]
    fresh = run_study(found, options, tmp_path / "fresh")
    assert fresh["rows"] == result["rows"]
    assert (tmp_path / "study" / result["pictures"][0]).read_bytes().startswith(b"\x89PNG")
