"""The example strategy is short, runs as a script, and passes the conformance suite."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.testing.conformance import StrategyConformance

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "custom_strategy.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("custom_strategy", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_example = _load()
# other tests go through the registry: the example is known only while its own tests run
STRATEGIES.pop("top_two")


class TestTopTwo(StrategyConformance):
    strategy = _example.TopTwoDARTS


def test_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40


def test_runs_as_a_script(tmp_path: Path) -> None:
    """From the command line, through its own setting; the run folder tells its name."""
    run = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env={**os.environ, "NNI_WIRING_RUNS": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (folder,) = tmp_path.iterdir()
    assert '"top_two"' in (folder / "run.json").read_text()
    assert '"noise": 0.1' in (folder / "run.json").read_text()
    assert (folder / "result.json").exists()
