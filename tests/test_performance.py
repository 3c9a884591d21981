"""The measurements that gpu.py starts run, here on small sizes: nobody sees them rot otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[1]
SIZE = ("--cells", "1", "--channels", "4", "--batch", "8")
VARIANTS = ("--variants", "nni", "fused")


def _said(script: str, *options: str) -> list[Any]:
    command = [sys.executable, "-W", "ignore", str(REPO / "performance" / script)]
    path = os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])
    told = subprocess.run(
        [*command, *options, "--json"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in told.stdout.splitlines() if line[:1] in "[{"]


def _told(script: str, *options: str) -> Any:
    return _said(script, *SIZE, *options)[-1]


@pytest.mark.slow
def test_the_step() -> None:
    told = _told("search_step.py", "--side", "8", "--no-memory", "--rounds", "1", *VARIANTS)
    assert set(told["seconds"]) == {"nni", "fused"}
    assert told["ratio_to_nni"]["nni"] == 1


@pytest.mark.slow
def test_the_loop_around_it() -> None:
    told = _told("loop_overhead.py", "--compile", "--steps", "2")
    share = told["step_seconds"] / told["inside_seconds"] - 1
    assert told["share"] == pytest.approx(share)


@pytest.mark.slow
def test_its_kernels() -> None:
    told = _told("profile_step.py", "--steps", "1", "--rows", "3")
    assert [0 < kernel["share"] < 1 for kernel in told["kernels"]] == 3 * [True]


@pytest.mark.slow
def test_single_convolutions() -> None:
    (rows,) = _said("convolutions.py", "--sizes", "4x4", "8x4", "--rounds", "1", "--batch", "4")
    assert [row["channels"] for row in rows] == [4, 8]
    depthwise = _said("convolutions.py", "--depthwise", "--rounds", "1", "--batch", "2")
    assert all(row["to the input"].keys() == {"torch", "ours"} for row in depthwise)


@pytest.mark.slow
def test_several_seeds() -> None:
    small = ("--steps", "2", "--rounds", "1", "--convolution-rounds", "1")
    told = _told("seeds.py", "--seeds", "2", *small)
    assert set(told["searches"]["seconds"]) == {"at_once", "in_turn", "in_turn_all_cores"}
