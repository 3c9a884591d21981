"""The public face: a dozen names, imported when they are used, and working together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nni_wiring
from nni_wiring.errors import RunError

REPO = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "nni", "numpy", "pandas", "pydantic", "pytorch_lightning", "matplotlib")


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    found = python(f"import sys, nni_wiring; print([m for m in {HEAVY} if m in sys.modules])")
    assert found.strip() == "[]"


def test_reading_runs_and_tables_needs_no_torch() -> None:
    names = "nni_wiring.load_run, nni_wiring.RunFolder.to_frame, nni_wiring.load_table"
    found = python(f"import sys, nni_wiring; {names}; print('torch' in sys.modules)")
    assert found.strip() == "False"


def test_every_public_name_is_there_and_no_other() -> None:
    assert dir(nni_wiring) == sorted(nni_wiring.__all__) and 12 <= len(nni_wiring.__all__) <= 20
    for name in nni_wiring.__all__:
        assert getattr(nni_wiring, name) is not None
    with pytest.raises(AttributeError, match="'serch'"):
        _ = nni_wiring.serch


@pytest.mark.parametrize("first", ["import nni_wiring.search.config", "pass"])
def test_search_is_a_function_whatever_was_imported_before(first: str) -> None:
    code = (
        f"{first}\nimport nni_wiring\nfrom nni_wiring import search\n"
        "for call in (search, nni_wiring.search):\n"
        "    try:\n        call(epohcs=3)\n"
        "    except nni_wiring.WiringError as error:\n        print(error)\n"
        "import nni_wiring.search.settings as settings\n"
        "print(nni_wiring.search.settings is settings)\n"
    )
    one, two, same = python(code).splitlines()
    assert one == two and "did you mean 'epochs'?" in one and same == "True"


def test_a_run_is_found_by_its_id_and_framed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path))
    stored = REPO / "tests" / "support" / "run_of_0_1_0"
    shutil.copytree(stored, tmp_path / "some-run")
    frame = nni_wiring.load_run("some-run").to_frame()
    lines = [json.loads(line) for line in (stored / "epochs.jsonl").read_text().splitlines()]
    assert list(frame.index) == [line["epoch"] for line in lines]
    columns = [name for name in frame if name.startswith("cost/alpha/")]
    assert len(columns) == 6 * 5
    for name in columns:
        edge, operation = name.split("/")[2:]
        means = [line["cost"]["alpha"]["mean"][edge][operation] for line in lines]
        assert list(frame[name]) == pytest.approx(means)


def test_a_search_and_its_run(tmp_path: Path) -> None:
    seen = []
    tiny = {"channels": 2, "cells": 1, "epochs": 2, "max_steps": 2, "batch_size": 8}
    run = nni_wiring.search(tmp_path / "run", on_epoch=seen.append, strategy="darts", **tiny)
    assert run.path == tmp_path / "run" and run.status == "finished"
    result, frame = run.result(), nni_wiring.load_run(tmp_path / "run").to_frame()
    assert result is not None
    assert list(frame.index) == [0, 1] and frame["arch"].iloc[-1] == result["arch"]
    truth = nni_wiring.load_table().query(result["arch"])["accuracy"]["cifar10"]["valid"]
    assert frame["truth/cifar10/valid"].iloc[-1] == pytest.approx(truth)
    assert [record.loss["train"] for record in seen] == list(frame["loss/train"])
    with pytest.raises(RunError, match="already holds a run"):
        nni_wiring.search(tmp_path / "run", **tiny)
    with pytest.raises(RunError, match="unknown run"):
        nni_wiring.load_run("nothing")
