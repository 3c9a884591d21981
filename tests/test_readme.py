"""The README's code and commands, run word for word."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
def test_the_python_example_searches_and_prints_a_cell_and_its_truth(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code) == 1
    (tmp_path / "example.py").write_text(code[0])
    done = _run([sys.executable, "example.py"], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    sample = next(line for line in done.stdout.splitlines() if line.startswith("[{"))
    assert sorted(re.findall(r"cell/(\d_\d)", sample)) == ["0_1", "0_2", "0_3", "1_2", "1_3", "2_3"]
    assert re.search(r"Score\(accuracy=\d", done.stdout)


@pytest.mark.slow
def test_the_tour_runs_word_for_word(tmp_path: Path) -> None:
    blocks = re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    tour = [c for c in commands if c.startswith("python cli.py ") and " tensorboard " not in c]
    assert len(tour) >= 6
    output = ""
    for command in tour:
        arguments = shlex.split(command)
        arguments[:2] = [sys.executable, str(ROOT / "cli.py")]
        done = _run(arguments, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        output += done.stdout
    assert "derived cell: |" in output
    pages = re.findall(r"^report: (.+)$", output, flags=re.MULTILINE)
    assert pages
    assert [page for page in pages if not (tmp_path / page).is_file()] == []


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
