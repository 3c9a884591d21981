"""The README's code and commands, run word for word."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nni_wiring.explain import explain
from nni_wiring.truth import load_table

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


def test_the_figures_of_the_tabs_picture_are_the_tables() -> None:
    last = "|skip_connect~0|skip_connect~1|skip_connect~2|"
    arch = f"|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+{last}"
    found = explain(arch, load_table(), "cifar10", "valid")
    [edge] = [one for one in found.edges if one.edge == "0-1"]
    accuracy = f"{found.accuracy:.2f} %"
    share = f"{edge.shapley:.2f} of the {found.regret:.2f} points"
    assert accuracy in README and f"0-1 accounts for {share}" in " ".join(README.split())
    text = " ".join((ROOT / "docs" / "explain.md").read_text().split())
    gain = (edge.choices["nor_conv_3x3"] or 0) - (found.accuracy or 0)
    assert f"{share}, and the convolution there would bring {gain:.2f} back" in text
    assert found.worst_first[0] is edge
