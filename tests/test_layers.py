"""Imports point one way, those for type checkers and those inside functions too."""

from __future__ import annotations

import ast
from pathlib import Path

import networkx as nx
import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("search_spaces", "nni_wiring")

#: Rooms, lowest first; a file imports its own room and rooms of lower floors.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("search_spaces",),
    ("nni_wiring.errors", "nni_wiring.imports"),
    ("nni_wiring.validation",),
    ("nni_wiring.files",),
    ("nni_wiring.records",),
    ("nni_wiring.truth", "nni_wiring.data", "nni_wiring.runs", "nni_wiring.tab"),
    ("nni_wiring.figures", "nni_wiring.explain", "nni_wiring.tuners", "nni_wiring.supernet"),
    ("nni_wiring.selection",),
    ("nni_wiring.strategies",),
    ("nni_wiring.monitor",),
    ("nni_wiring.search",),
    ("nni_wiring.train",),
    ("nni_wiring.building",),
    ("nni_wiring.service", "nni_wiring.studies", "nni_wiring.testing"),
    ("nni_wiring.export",),
    ("nni_wiring.report",),
    ("nni_wiring.commands", "nni_wiring.trial"),
)
#: The public face offers names of all floors, lazily.
FACE = "nni_wiring"


def module_name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for package in PACKAGES for path in (REPO / package).rglob("*.py")}


def imported(path: Path, *, at_import: bool = False) -> set[str]:
    """The project's modules that a file imports: anywhere in it, or when it is imported."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in FILES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(FILES)


IMPORTS = {module: imported(path) - {module} for module, path in FILES.items()}


def arrows(imports: dict[str, set[str]]) -> nx.DiGraph:
    graph = nx.DiGraph([(a, b) for a, targets in imports.items() for b in targets if b != FACE])
    graph.add_nodes_from(FILES)
    return graph


def floor_of(module: str) -> int:
    for floor, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(room + ".") for room in rooms):
            return floor
    raise AssertionError(f"{module}: no room of FLOORS; say where it belongs")


def room_of(module: str) -> str:
    rooms = [room for floor in FLOORS for room in floor]
    return next(room for room in rooms if module == room or module.startswith(room + "."))


@pytest.mark.parametrize("module", sorted(set(FILES) - {FACE}))
def test_imports_point_down(module: str) -> None:
    for target in IMPORTS[module] - {FACE}:
        same_room = room_of(target) == room_of(module)
        assert same_room or floor_of(target) < floor_of(module), f"{module} imports {target}"


def test_files_form_no_circle() -> None:
    parts = nx.strongly_connected_components(arrows(IMPORTS))
    circles = [sorted(part) for part in parts if len(part) > 1]
    assert not circles


def test_the_check_sees_what_is_forbidden(tmp_path: Path) -> None:
    source = "def f():\n    from nni_wiring.commands import search\n"
    (tmp_path / "module.py").write_text(source)
    assert imported(tmp_path / "module.py") == {"nni_wiring.commands.search"}


@pytest.mark.parametrize(
    "room", ["search_spaces.cell_graph", "nni_wiring.tab", "nni_wiring.truth", "nni_wiring.tuners"]
)
def test_rooms_without_torch(room: str) -> None:
    """No file of the room, nor any that it imports, names torch at its top."""
    graph = arrows({m: imported(path, at_import=True) for m, path in FILES.items()})
    roots = [module for module in FILES if module == room or module.startswith(room + ".")]
    assert roots
    reached = {module for root in roots for module in {root, *nx.descendants(graph, root)}}
    heavy = sorted(m for m in reached if "torch" in top_level(FILES[m]))
    assert not heavy


def top_level(path: Path) -> set[str]:
    """The first names of the modules that a file imports when it is imported."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found
