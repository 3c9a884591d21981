"""Any module may be the first that a program imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
MODULES = sorted([*REPO.glob("nni_wiring/**/*.py"), *REPO.glob("search_spaces/**/*.py")])
GUARDED = ("pytorch_lightning", "nni.nas", "torchmetrics")
DOOR = REPO / "search_spaces" / "nni_api.py"


def modules_imported(path: Path) -> set[str]:
    """The modules of all imports of a file, wherever they stand in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPO)))
def test_nni_nas_and_lightning_are_imported_through_the_one_door(path: Path) -> None:
    if path == DOOR:
        return
    inside = [m for m in modules_imported(path) if m.startswith(GUARDED)]
    assert not inside, f"{inside}: import it from search_spaces.nni_api"


def test_the_callback_can_be_a_programs_first_import() -> None:
    # the registry's torchvision breaks pytorch_lightning where the guard does not come first
    program = "from nni_wiring.monitor.callback import WiringMonitor; WiringMonitor()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPO)
    assert done.returncode == 0, done.stderr
