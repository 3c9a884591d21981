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
GUARDS = {"nni_api", "torchvision_guard"}


def imports(path: Path) -> list[tuple[str, set[str]]]:
    """(module, names) of every import that runs when the module is imported, in order."""
    found: list[tuple[str, set[str]]] = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found += [(alias.name, set()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module or "", {alias.name for alias in node.names}))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPO)))
def test_the_torchvision_guard_comes_before_lightning_and_nni_nas(path: Path) -> None:
    if path.stem in GUARDS:
        return
    guarded = False
    for module, names in imports(path):
        guarded = guarded or bool(names & GUARDS)
        needs_guard = any(module == name or module.startswith(name + ".") for name in GUARDED)
        assert guarded or not needs_guard, f"{module} is imported before the guard"


def test_the_callback_can_be_a_programs_first_import() -> None:
    # the registry's torchvision breaks pytorch_lightning where the guard does not come first
    program = "from nni_wiring.monitor.callback import WiringMonitor; WiringMonitor()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPO)
    assert done.returncode == 0, done.stderr
