"""Imports of methods, supernet and selections point one way, TYPE_CHECKING and local ones too."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("supernet", "selection", "strategies")


def files(room: str) -> list[Path]:
    return sorted((REPO / "nni_wiring" / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text()))
    return {node.module for node in tree if isinstance(node, ast.ImportFrom) and node.module}


def name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("supernet", ("selection", "strategies", "monitor", "search")),
        ("selection", ("strategies", "monitor", "search")),
        ("strategies", ("monitor", "search", "studies")),
    ],
)
def test_no_room_imports_one_above(room: str, above: tuple[str, ...]) -> None:
    forbidden = tuple(f"nni_wiring.{other}" for other in above)
    wrong = {name(p): [m for m in imported(p) if m.startswith(forbidden)] for p in files(room)}
    assert not {path: modules for path, modules in wrong.items() if modules}


def test_no_files_import_each_other_in_a_circle() -> None:
    known = {name(path): path for room in ROOMS for path in files(room)}
    graph = {own: imported(path) & set(known) for own, path in known.items()}
    assert sum(map(len, graph.values())) > 100
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError
