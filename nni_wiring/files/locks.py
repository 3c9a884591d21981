"""One writer: a lock that the living process holds while it writes in a place.

The lock is the operating system's, on a file: it ends with its process, however that ends, so what
a dead owner held can be taken over at once. A note beside it says who holds it, for the message to
whoever comes second. The lock file stays when the lock is given back: removing it would let two
processes lock two files of one name.
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
from nni_wiring.files.json_files import read_object, write_json
from nni_wiring.files.messages import reason, shown
from nni_wiring.files.tolerant import as_count, as_text

#: What the files' names end in.
LOCK = ".owner.lock"
OWNER = ".owner.json"


class _Held(threading.local):
    """The locks that this thread holds; another thread of the process is refused as others are."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_HELD = _Held()


@contextmanager
def held(folder: Path, what: str, stem: str = "") -> Iterator[bool]:
    """Hold a lock in ``folder`` for the length of the block, which may hold it again.

    Args:
        folder: there already; holds the lock and the note.
        what: is written under the lock, for the refusal: "run r1".
        stem: of the lock's and the note's name, where the lock is not that of the whole folder.

    Yields:
        True where nobody else can be writing and the lock was not held before: leftovers of an
        owner that was killed may be removed.

    Raises:
        OwnedError: another process (or thread) holds it; nothing was written.
        RunError: the folder cannot be written.
    """
    path, note = folder.resolve() / f"{stem}{LOCK}", folder / f"{stem}{OWNER}"
    if path in _HELD.paths:
        yield False
        return
    lock = _locked(path, note, what)
    _HELD.paths.add(path)
    try:
        write_json(note, _this_process())
        try:
            yield lock.is_locked
        finally:
            _remove(note)
    finally:
        _HELD.paths.discard(path)
        lock.release()


def _remove(note: Path) -> None:
    """Remove the note of this process; not that of another one in a folder made anew meanwhile."""
    with suppress(OSError, RunError):  # it is gone, or its folder is
        if (read_object(note) or {}).get("pid") == os.getpid():
            note.unlink()


def _locked(path: Path, note: Path, what: str) -> filelock.BaseFileLock:
    try:
        # the lock's file is emptied when it is opened, whatever a foreign folder makes it lead to
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RunError(f"{shown(path)} is not a regular file, as a lock must be")
    except FileNotFoundError:
        pass
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise OwnedError(_refusal(note, what)) from None
    except NotImplementedError:
        warnings.warn(
            f"the file system of {shown(path.parent)} has no locks: "
            f"nothing keeps a second process from writing {what}",
            stacklevel=2,
        )
    except OSError as error:
        raise RunError(f"cannot lock {shown(path.parent)}: {reason(error)}") from None
    return lock


def _this_process() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": " ".join(sys.argv),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _refusal(note: Path, what: str) -> str:
    """One line that names the owner, as far as it has said who it is."""
    try:
        owner = read_object(note) or {}
    except RunError:
        owner = {}
    pid, host = as_count(owner.get("pid")), as_text(owner.get("host"))
    command, since = as_text(owner.get("command")), as_text(owner.get("since"))
    who = "another process" if pid is None else f"process {pid}"
    where = f" on {shown(host)}" if host else ""
    told = f" ({shown(command)})" if command else ""
    when = f" since {shown(since)}" if since else ""
    return f"{what} is being written by {who}{where}{told}{when}; wait for its end, or stop it"
