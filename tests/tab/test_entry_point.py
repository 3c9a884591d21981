"""TensorBoard finds the tab by itself, also as NNI's web UI starts it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from board import write_tab
from synthetic_runs import write_run

from nni_wiring.monitor.view import View

REPO = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def answer(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=20) as found:
        return json.load(found)


def test_a_tensorboard_with_nnis_arguments_has_the_tab(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "cccccc")
    write_tab(run, View(None, ""))
    # the metadata of an installation, as setup.py of this tree makes it
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True, timeout=60)
    # NNI writes `tensorboard --bind_all --logdir_spec=0-TRIAL:FOLDER --port=PORT`
    command = [sys.executable, "-m", "tensorboard.main", "--host", "127.0.0.1", "--port", "0"]
    command.append(f"--logdir_spec=0-AbCdE:{run.tensorboard}")
    path = os.pathsep.join([str(tmp_path), str(REPO)])
    board = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    )
    try:
        assert board.stderr is not None
        said = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in board.stderr)
        address = next(found[0] for found in said if found)
        listed = answer(f"{address}data/plugins_listing")["wiring"]
        module = listed["loading_mechanism"]["module_path"]
        with urllib.request.urlopen(f"{address}{module.lstrip('/')}", timeout=20) as page:
            assert b"export async function render" in page.read()
    finally:
        board.terminate()
        board.wait(20)
