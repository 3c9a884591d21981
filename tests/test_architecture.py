"""The map in docs/architecture.md against the tree and the floors that it speaks of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
TEXT = (REPO / "docs" / "architecture.md").read_text()
TREE = sorted(p for room in ("search_spaces", "nni_wiring") for p in (REPO / room).rglob("*.py"))
LAYERS = ast.parse((REPO / "tests" / "test_layers.py").read_text())
FLOORS = next(
    ast.literal_eval(node.value)
    for node in LAYERS.body
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FLOORS" and node.value
)
NAMES = {path.name for path in TREE}


def test_every_file_named_is_there() -> None:
    named = set(re.findall(r"\b([a-z_0-9]+\.py)\b", TEXT))
    elsewhere = {
        path.name
        for folder in ("tests", "performance", "examples")
        for path in (REPO / folder).rglob("*.py")
    }
    assert len(named) > 60
    assert named - NAMES - elsewhere - {"cli.py"} == set()


def test_every_room_is_on_the_map() -> None:
    the_map = TEXT.split("```")[1]
    rooms = {
        path.name for path in (REPO / "nni_wiring").iterdir() if (path / "__init__.py").exists()
    }
    missing = {room for room in rooms if not re.search(rf"^  {room}/", the_map, re.MULTILINE)}
    assert len(rooms) > 10
    assert missing == set()


def test_every_file_of_search_spaces_is_on_the_map() -> None:
    the_map = TEXT.split("```")[1]
    files = {p.name for p in (REPO / "search_spaces").glob("*.py")} - {"__init__.py"}
    assert {name for name in files if name not in the_map} == set()


def test_the_floors_are_those_that_the_layers_hold() -> None:
    rows = re.findall(r"^\| \d+ \| (.+) \|$", TEXT, re.MULTILINE)
    written = [tuple(re.findall(r"`(\w+)`", row)) for row in rows]
    assert written == [tuple(room.rpartition(".")[2] for room in floor) for floor in FLOORS]
