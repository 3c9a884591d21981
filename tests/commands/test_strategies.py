"""`strategies`: its listings need neither torch nor NNI, and say what the classes say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from blocked_imports import TORCH_AND_NNI, blocking
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.relaxations import RELAXATIONS

REPO = Path(__file__).resolve().parents[2]

#: Runs a command where torch and NNI cannot be imported.
WITHOUT = f"""{blocking(*TORCH_AND_NNI)}
from nni_wiring.commands import main
main(sys.argv[1:])
"""


def without_torch(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *command],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_block_blocks() -> None:
    done = without_torch("strategies", "--options", "darts")
    assert done.returncode != 0 and "is blocked" in done.stderr


def test_strategies_without_torch_are_those_of_the_classes() -> None:
    done = without_torch("strategies", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == list(STRATEGIES)
    for row in rows:
        strategy = STRATEGIES[row["name"]]()
        assert row == {
            "name": strategy.name,
            "level": strategy.settings.optimisation,
            "relaxation": strategy.relaxation.name,
            "selection": strategy.settings.selection,
            "paper": strategy.paper,
        }


def test_relaxations_without_torch_are_those_of_the_classes() -> None:
    done = without_torch("strategies", "--relaxations", "--json")
    assert done.returncode == 0, done.stderr
    wanted = {name: str(entry.__doc__).split("\n")[0] for name, entry in RELAXATIONS.items()}
    assert {row["name"]: row["summary"] for row in json.loads(done.stdout)} == wanted


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_a_program_registers_is_listed(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = type("Own", (STRATEGIES["gdas"],), {"name": "own_gdas", "paper": "none yet"})
    monkeypatch.setitem(STRATEGIES, "own_gdas", own)
    done = CliRunner().invoke(main, ["strategies", *options])
    assert done.exit_code == 0 and "own_gdas" in done.output and "none yet" in done.output
