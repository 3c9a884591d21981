"""One writer a run: a lock in the run's folder that the living process holds while it writes there.

The lock is the operating system's, on the file ``.owner.lock``: it ends with its process, however
that ends, so a dead owner's folder can be taken over at once. ``.owner.json`` beside it says who
holds it, for the message to whoever comes second. The lock file stays when the lock is given back:
removing it would let two processes lock two files of one name.
"""

from __future__ import annotations

import os
import platform
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import filelock

from nni_wiring.errors import OwnedError, RunError
from nni_wiring.files.atomic import sweep
from nni_wiring.files.json_files import read_object, write_json
from nni_wiring.files.messages import reason, shown
from nni_wiring.files.tolerant import as_count, as_text
from nni_wiring.runs.store import RunFolder

LOCK = ".owner.lock"
OWNER = ".owner.json"


class _Held(threading.local):
    """The folders that this thread owns; another thread of the process is refused as others are."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_HELD = _Held()


@contextmanager
def owned(folder: RunFolder) -> Iterator[None]:
    """Own ``folder`` for the length of the block, which may own it again.

    ``folder.info`` is read anew, since an owner before may have changed it; temporary files that an
    owner left when it was killed are removed.

    Raises:
        OwnedError: another process (or thread) owns it; nothing was written.
        RunError: the folder cannot be written.
    """
    path = folder.path.resolve()
    if path in _HELD.paths:
        yield
        return
    lock = _locked(folder)
    _HELD.paths.add(path)
    try:
        folder.info = RunFolder.open(folder.path).info
        if lock.is_locked:
            sweep(folder.path)
        write_json(folder.path / OWNER, _this_process())
        try:
            yield
        finally:
            with suppress(OSError):  # it is gone, or its folder is
                (folder.path / OWNER).unlink()
    finally:
        _HELD.paths.discard(path)
        lock.release()


def _locked(folder: RunFolder) -> filelock.BaseFileLock:
    path = folder.path / LOCK
    try:
        # the lock's file is emptied when it is opened, whatever a foreign folder makes it lead to
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RunError(f"{shown(path)} is not a regular file, as a run's lock must be")
    except FileNotFoundError:
        pass
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise OwnedError(_refusal(folder)) from None
    except NotImplementedError:
        warnings.warn(
            f"the file system of {shown(folder.path)} has no locks: "
            "nothing keeps a second process from writing this run",
            stacklevel=2,
        )
    except OSError as error:
        raise RunError(f"cannot lock {shown(folder.path)}: {reason(error)}") from None
    return lock


def _this_process() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": " ".join(sys.argv),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _refusal(folder: RunFolder) -> str:
    """One line that names the owner, as far as it has said who it is."""
    try:
        owner = read_object(folder.path / OWNER) or {}
    except RunError:
        owner = {}
    pid, host = as_count(owner.get("pid")), as_text(owner.get("host"))
    command, since = as_text(owner.get("command")), as_text(owner.get("since"))
    who = "another process" if pid is None else f"process {pid}"
    where = f" on {shown(host)}" if host else ""
    what = f" ({shown(command)})" if command else ""
    when = f" since {shown(since)}" if since else ""
    return (
        f"run {folder.run_id} is being written by {who}{where}{what}{when}; "
        "wait for its end, or stop it"
    )
