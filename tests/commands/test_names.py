"""A mistyped name is answered at once: one line with the input, what is allowed, what is alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from blocked_imports import TORCH_AND_NNI, blocking

from nni_wiring.commands import names
from nni_wiring.runs.store import RunFolder
from nni_wiring.selection.registry import SELECTIONS
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.train.protocols import PROTOCOLS

REPO = Path(__file__).resolve().parents[2]

#: Runs commands, one after the other, where torch and NNI cannot be imported; prints what a user
#: sees of each.
WITHOUT = f"""{blocking(*TORCH_AND_NNI)}
import json
from click.testing import CliRunner
from nni_wiring.commands import main
for call in json.loads(sys.argv[1]):
    done = CliRunner().invoke(main, call)
    print(json.dumps([done.exit_code, done.stderr, done.stdout]))
"""

#: call -> (the input as it is named, a name that is allowed, the name meant)
MISTYPED = {
    ("search", "--strategy", "darst"): ("'darst'", "gdas", "darts"),
    ("search", "--set", "strategy=gdsa"): ("'gdsa'", "snas", "gdas"),
    ("search", "--space", "nasbench21"): ("'nasbench21'", "darts_s1", "nasbench201"),
    ("search", "--data", "cifr10"): ("'cifr10'", "npz:PATH", "cifar10"),
    ("search", "--set", "benchmark=bundeld"): ("'bundeld'", "bundled", "bundled"),
    ("search", "--resume", "darts-s1-one2"): ("darts-s1-one2", "darts-s1-one", "darts-s1-one"),
    ("train", "darts-s1-onne"): ("darts-s1-onne", "darts-s1-one", "darts-s1-one"),
    ("train", "x", "--protocol", "tabulate"): ("'tabulate'", "short", "tabulated"),
    ("select", "darts-s1-noe"): ("darts-s1-noe", "darts-s1-one", "darts-s1-one"),
    ("select", "darts-s1-one", "--method", "pertubation"): (
        "'pertubation'",
        "magnitude",
        "perturbation",
    ),
    ("analyze", "darts-s1-oen"): ("darts-s1-oen", "darts-s1-one", "darts-s1-one"),
    ("compare", "lates"): ("lates", "darts-s1-one", "latest"),
    ("explain", "dart-s1-one"): ("dart-s1-one", "darts-s1-one", "darts-s1-one"),
    ("explain", "5", "--dataset", "cifar1"): ("'cifar1'", "imagenet16", "cifar10"),
    ("explain", "5", "--split", "vaild"): ("'vaild'", "test", "valid"),
    ("benchmark", "query", "5", "--benchmark", "nasbench20"): (
        "'nasbench20'",
        "bundled",
        "nasbench201",
    ),
    ("benchmark", "top", "--dataset", "cifar01"): ("'cifar01'", "imagenet16", "cifar10"),
    ("benchmark", "top", "--split", "tset"): ("'tset'", "valid", "test"),
    ("benchmark", "use", "bundle"): ("'bundle'", "bundled", "bundled"),
    ("benchmark", "build", "--space", "dart", "--data", "digits", "--name", "x"): (
        "'dart'",
        "nasbench201",
        "darts",
    ),
    ("study", "grwing"): ("'grwing'", "convergence", "growing"),
    ("study", "growing", "--data", "digit"): ("'digit'", "clutter", "digits"),
    ("strategies", "--options", "enass"): ("'enass'", "gdas", "enas"),
    ("spaces", "--options", "simplifed"): ("'simplifed'", "minimal", "simplified"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], list[str]]:
    """What every mistyped call is answered, all by one process, beside one run."""
    home = tmp_path_factory.mktemp("home")
    RunFolder.create(home / "runs" / "darts-s1-one", "darts-s1-one", {"strategy": "darts"})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps(list(MISTYPED))],
        cwd=home,
        env={"PYTHONPATH": str(REPO), "HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return dict(zip(MISTYPED, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("call", MISTYPED, ids=" ".join)
def test_a_mistyped_name_is_answered_in_one_line_without_torch(
    call: tuple[str, ...], answers: dict[tuple[str, ...], list[str]]
) -> None:
    code, stderr, stdout = answers[call]
    named, allowed, meant = MISTYPED[call]

    line = stderr.splitlines()[-1]
    assert code in (1, 2) and not stdout
    assert line.lower().startswith("error: ")
    assert named in line
    before, _, hint = line.partition("(did you mean ")
    assert allowed in before
    assert hint.startswith(f"{meant} or ") or hint.startswith(f"{meant}?)")


def test_names_without_an_import_are_those_of_the_registries() -> None:
    assert names.strategy_names() == list(STRATEGIES)
    assert names.selection_names() == list(SELECTIONS)
    assert names.protocol_names() == list(PROTOCOLS)


def test_selections_read_from_the_source_are_those_of_the_classes() -> None:
    from nni_wiring.strategies.listing import _load_selections, _read_selections

    assert _read_selections() == _load_selections()
