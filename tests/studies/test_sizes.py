"""Small searches give no verdict, whatever the rule says; identities and large ones do."""

from __future__ import annotations

import gzip
import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.studies.frame import Findings, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import read_rows
from nni_wiring.studies.registry import STUDIES, study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.sizes import reference_training, smallness, withheld
from nni_wiring.studies.statistics import FlipRule, IdentityRule
from nni_wiring.truth import load_table

RULE = FlipRule(claim="it is so", null="it is not", minimum=0.1, unit="points", spread=0.1)
IDENTITY = IdentityRule(claim="it is exactly so", tolerance=1e-10)
EFFECT = [0.5, 0.6, 0.5, 0.7, 0.6, 0.5]
#: Those that say by themselves which of their verdicts come from small networks.
BY_THEMSELVES = {"pattern-atlas", "controller-conditioning"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"channels": 8, "max_steps": None}, None),
        ({"channels": 16}, None),
        ({"channels": 7, "max_steps": None}, "7 channels"),
        ({"channels": 8, "max_steps": 20}, "20 steps an epoch"),
        ({"channels": 4, "max_steps": 1}, "4 channels, 1 steps an epoch"),
        ({"channels": 8, "epochs": 49}, "49 epochs"),
        ({"channels": 8, "epochs": 50}, None),
        ({}, "an unknown number of channels"),
        ({"data": "clutter", "channels": 4, "epochs": 50}, None),
        ({"data": "clutter", "channels": 3, "epochs": 50}, "3 channels"),
        ({"data": "clutter", "channels": 4, "epochs": 6}, "6 epochs"),
    ],
)
def test_small_is_fewer_channels_or_cut_epochs(config: dict[str, Any], expected: str) -> None:
    assert smallness(config) == expected


def test_the_reference_size_on_clutter_is_the_network_of_its_truth() -> None:
    options = study("growing").options({"data": "clutter"}, "reference")
    protocol = load_table("clutter201").benchmark.dataset("clutter").protocol
    assert (options["channels"], options["cells"]) == (protocol.channels, protocol.cells)
    assert options["benchmark"] == "clutter201" and options["epochs"] >= 50
    assert "resize" not in options and smallness(options) is None
    other = study("growing").options({"data": "digits"}, "reference")
    assert other["channels"] == 8 and "benchmark" not in other


def test_a_withheld_verdict_says_why_and_what_the_rule_said() -> None:
    tested, exact = RULE.judge(EFFECT), IDENTITY.judge(1e-16, 4)
    assert (tested.verdict, exact.verdict) == ("holds", "holds")
    assert withheld([tested, exact], None) == [tested, exact]
    hidden, kept = withheld([tested, exact], "4 channels")
    assert kept == exact and hidden.verdict == "cannot be said"
    assert hidden.evidence.startswith("no verdict: small, 4 channels (the rule says: holds); 0.5")
    assert hidden.evidence.endswith(tested.evidence) and hidden.p == tested.p


def judging(found: Study, **changes: Any) -> Study:
    """The study with an effect that is plain, and nothing trained."""

    def measure(run: StudyRun) -> Findings:
        if run["rows"]:
            read_rows(run, lambda kept: True)
        verdicts = [RULE.judge(EFFECT), IDENTITY.judge(1e-16, 4)]
        return Findings([Table("none", ["a"], [[1]])], verdicts)

    return replace(found, measure=measure, plot=lambda numbers: {}, **changes)


def outcomes(found: Study, folder: Path, **given: Any) -> list[str]:
    result = run_study(found, found.options(given), folder)
    return [verdict["verdict"] for verdict in result["verdicts"]]


def test_a_sized_study_judges_at_the_reference_size_only(tmp_path: Path) -> None:
    growing = judging(study("growing"))
    large = {"channels": 8, "epochs": 50, "max_steps": None}
    assert outcomes(growing, tmp_path / "small") == ["cannot be said", "holds"]
    assert outcomes(growing, tmp_path / "large", **large) == ["holds", "holds"]
    cut = {**large, "max_steps": 5}
    assert outcomes(growing, tmp_path / "cut", **cut) == ["cannot be said", "holds"]
    short = {**large, "epochs": 49}
    assert outcomes(growing, tmp_path / "short", **short) == ["cannot be said", "holds"]
    free = judging(study("growing"), sized=False)
    assert outcomes(free, tmp_path / "free") == ["holds", "holds"]


def test_of_searches_that_are_read_their_own_size_counts(tmp_path: Path) -> None:
    growing = judging(study("growing"))  # whose own searches would have 4 channels
    reference = Path(__file__).parents[2] / "docs" / "results" / "reference"
    kept = str(reference / "gdas-s1.json.gz")
    assert outcomes(growing, tmp_path / "kept", rows=[kept]) == ["holds", "holds"]
    value = json.loads(gzip.decompress(Path(kept).read_bytes()))
    value["run"]["config"]["channels"] = 4
    small = tmp_path / "small.json.gz"
    small.write_bytes(gzip.compress(json.dumps(value).encode()))
    both = [kept, str(small)]
    assert outcomes(growing, tmp_path / "both", rows=both) == ["cannot be said", "holds"]


def test_every_study_of_searches_asks_for_their_size() -> None:
    """All that run or read searches, found by their source."""
    asking = set()
    for name in STUDIES:
        found = study(name)
        source = inspect.getsource(sys.modules[found.measure.__module__])
        if "run.search" in source or "read_rows(" in source:
            asking.add(name)
    assert {"growing", "strength", "early-stop"} <= asking
    sized = {name for name in STUDIES if study(name).sized}
    assert asking - BY_THEMSELVES == sized
    assert not BY_THEMSELVES & sized


@pytest.mark.slow
def test_the_command_prints_no_verdict(tmp_path: Path) -> None:
    command = ["study", "cost-decomposition", "--data", "digits", "--epochs", "1", "--json"]
    for text in ("max_steps=1", "batch_size=8", "batches=1", "seeds=1"):
        command += ["--set", text]
    out = ["--out", str(tmp_path / "study")]
    shown = CliRunner().invoke(main, [*command, *out], catch_exceptions=False)
    exact, *tested = json.loads(shown.stdout)["verdicts"]
    assert exact["verdict"] == "holds" and len(tested) == 2
    for verdict in tested:
        assert verdict["verdict"] == "cannot be said"
        assert "no verdict: small, 4 channels, 1 epochs, 1 steps an epoch" in verdict["evidence"]


@pytest.mark.parametrize("name", STUDIES)
def test_the_reference_size_is_one_that_verdicts_ask_for(name: str) -> None:
    """N=1, C=8, batch 64, 16 x 16, alpha's rate the paper's; 50 epochs, of one cell 12."""
    found = study(name)
    options = found.options({}, "reference")
    small = found.options({})
    if "channels" not in small:  # nothing is trained: one size
        assert {k: v for k, v in options.items() if k not in found.reference} == {
            k: v for k, v in small.items() if k not in found.reference
        }
        return
    assert (options["channels"], options["batch_size"], options["resize"]) == (8, 64, 16)
    assert options["cells"] == (4 if name in ("shuffling", "random-wiring") else 1)
    trains = found.reference_size is reference_training
    assert options["epochs"] >= (12 if trains else 50) and "alpha_lr" not in options
    assert options.get("max_steps") is None and options["data"] == "cifar10"
    for structure in ("space", "head", "strategy", "optimisation", "strategies", "spaces"):
        assert options.get(structure) == small.get(structure)
    if found.sized:
        config = StudyRun(found, Path(), options, print).config().flat()
        assert smallness(config) is None
        assert smallness(StudyRun(found, Path(), small, print).config().flat()) is not None


def test_a_size_that_is_not_known_is_one_line() -> None:
    answer = CliRunner().invoke(main, ["study", "growing", "--size", "huge"])
    assert answer.exit_code == 2 and "'huge' is not one of" in answer.output
