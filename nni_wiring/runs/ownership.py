"""One writer a run: its folder is locked (``files.locks``) by the process that writes there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import sweep
from nni_wiring.files.locks import held
from nni_wiring.files.messages import reason, shown
from nni_wiring.runs.store import RunFolder


@contextmanager
def owned(folder: RunFolder) -> Iterator[None]:
    """Own ``folder`` for the length of the block, which may own it again.

    ``folder.info`` is read anew, since an owner before may have changed it; temporary files that an
    owner left when it was killed are removed.

    Raises:
        OwnedError: another process (or thread) owns it; nothing was written.
        RunError: the folder cannot be written.
    """
    with _owned(folder.path, folder.run_id):
        folder.info = RunFolder.open(folder.path).info
        yield


@contextmanager
def owned_place(path: Path, run_id: str) -> Iterator[None]:
    """Own the folder of a run that may not have been begun: it is made where it is missing.

    Raises:
        OwnedError, RunError: as :func:`owned`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot create {shown(path)}: {reason(error)}") from None
    with _owned(path, run_id):
        yield


@contextmanager
def _owned(path: Path, run_id: str) -> Iterator[None]:
    with held(path, f"run {run_id}") as alone:
        if alone:
            sweep(path)
        yield
