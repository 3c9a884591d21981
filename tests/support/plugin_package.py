"""The package of ``tests/plugins/package``, put where Python finds it as an installed one."""

from __future__ import annotations

import shutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "plugins" / "package"


def install(site: Path) -> None:
    """Put the package and its metadata into the folder ``site``, which must be new."""
    shutil.copytree(PACKAGE / "tiny_plugin", site / "tiny_plugin")
    info = site / "tiny_plugin-1.0.dist-info"
    info.mkdir()
    shutil.copy(PACKAGE / "entry_points.txt", info)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
