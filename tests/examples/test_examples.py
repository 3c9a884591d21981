"""The example strategies are short, run as scripts, and pass the conformance suite."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.testing.conformance import StrategyConformance

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_of_parts, _new_part = _load("custom_strategy"), _load("custom_part")
# other tests go through the registry: the examples are known only while their own tests run
STRATEGIES.pop("partial_gdas")
STRATEGIES.pop("top_two")


class TestPartialGDAS(StrategyConformance):
    strategy = _of_parts.PartialGDAS


class TestTopTwo(StrategyConformance):
    strategy = _new_part.TopTwoDARTS


def test_the_first_has_no_part_of_its_own() -> None:
    parts = _of_parts.PartialGDAS().parts
    kinds = [type(part) for part in (parts.relaxation, *parts)]
    assert all(kind.__module__.startswith("nni_wiring.") for kind in kinds)
    assert len((EXAMPLES / "custom_strategy.py").read_text().splitlines()) <= 45


@pytest.mark.parametrize(
    ("example", "name", "option"),
    [
        ("custom_strategy", "partial_gdas", '"patience": 10'),
        ("custom_part", "top_two", '"noise": 0.1'),
    ],
)
def test_runs_as_a_script(example: str, name: str, option: str, tmp_path: Path) -> None:
    """From the command line, through its own setting; the run folder tells its name."""
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{example}.py")],
        env={**os.environ, "NNI_WIRING_RUNS": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (folder,) = tmp_path.iterdir()
    assert f'"{name}"' in (folder / "run.json").read_text()
    assert option in (folder / "run.json").read_text()
    assert (folder / "result.json").exists()
