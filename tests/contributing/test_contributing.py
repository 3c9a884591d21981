"""CONTRIBUTING.md: its code is that of the examples, its files exist, its map is the tested one."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", TEXT, flags=re.M | re.S))


def test_there_are_nine() -> None:
    assert [*SECTIONS] == [
        *("Strategy", "Relaxation", "Space", "Benchmark", "Data set"),
        *("Statistic", "Selection", "Study", "Report section"),
    ]


@pytest.mark.parametrize("kind", SECTIONS)
def test_the_code_is_the_example_s(kind: str) -> None:
    (before, code), *others = re.findall(r"(.*?)```python\n(.*?)```", SECTIONS[kind], flags=re.S)
    assert not others
    example = re.findall(r"\]\((examples/\w+\.py)\)", before)[-1]
    lines = [line.strip() for line in (ROOT / example).read_text().splitlines()]
    wanted = [line.strip() for line in code.splitlines()]
    places = range(len(lines) - len(wanted) + 1)
    (place,) = [k for k in places if lines[k : k + len(wanted)] == wanted]
    whole = (ROOT / example).read_text().splitlines(keepends=True)
    assert textwrap.dedent("".join(whole[place : place + len(wanted)])) == code
    assert len(lines) <= 55


@pytest.mark.parametrize("kind", SECTIONS)
def test_two_code_files_each(kind: str) -> None:
    (line,) = re.findall(r"^Files: (.+)\.$", SECTIONS[kind], flags=re.M)
    own, registry = re.findall(r"`([^`]+)`", line)
    assert own.endswith("/NAME.py") and (ROOT / own).parent.is_dir()
    assert (ROOT / registry).is_file()
    assert "Registry" in (ROOT / registry).read_text()


def test_the_map_is_the_one_that_is_tested() -> None:
    source = (ROOT / "tests" / "test_layers.py").read_text()
    (floors,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FLOORS" and node.value
    ]
    (shown,) = re.findall(r"```text\n(.*?)```", TEXT, flags=re.S)
    rows = [row.split(", ") for row in shown.splitlines()]
    assert rows[::-1] == [[room.removeprefix("nni_wiring.") for room in rooms] for rooms in floors]


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert links and [link for link in links if not (ROOT / link).exists()] == []
