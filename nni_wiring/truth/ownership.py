"""One writer a table: its name is locked (``files.locks``) while its files are replaced."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.atomic import sweep
from nni_wiring.files.locks import OWNER, held
from nni_wiring.files.messages import reason, shown
from nni_wiring.truth.catalogue import table_path


@contextmanager
def owned_table(name: str) -> Iterator[None]:
    """Own the table ``name`` for the length of the block: its file, and the curves beside it.

    Raises:
        OwnedError: another process writes it; nothing was written.
        WiringError: its name cannot be a file name, or the folder of tables cannot be written.
    """
    path = table_path(name)
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchmarkError(f"{shown(folder)}: cannot be written ({reason(error)})") from None
    with held(folder, f"table {name}", stem=f".{name}") as alone:
        if alone:
            sweep(folder, path.name, f".{name}{OWNER}")
            for left in folder.glob(f".import-{name}-*"):
                if _own_scratch(name, left):
                    shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A temporary folder beside the table ``name``, on the same file system as it is.

    The next owner of the table removes it where its process is killed.
    """
    folder = table_path(name).parent
    try:
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix=f".import-{name}-")
    except OSError as error:
        raise BenchmarkError(f"{shown(folder)}: cannot be written ({reason(error)})") from error
    with scratch as path:
        yield Path(path)


def _own_scratch(name: str, path: Path) -> bool:
    """False for that of another table whose name begins alike."""
    return re.fullmatch(r"[a-z0-9_]{8}", path.name.removeprefix(f".import-{name}-")) is not None
