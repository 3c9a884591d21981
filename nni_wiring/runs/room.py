"""Room for a run's last word: a file that is given up so that `run.json` fits on a full disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file

ROOM = ".room"
_BYTES = 64 << 10  # a run.json has a few KB, and is written beside the old one


def keep_room(folder: Path) -> None:
    """Take the room, in bytes that no file system makes smaller; a folder without any is no error
    yet.
    """
    with suppress(RunError):
        replace_file(folder / ROOM, os.urandom(_BYTES))


def free_room(folder: Path) -> None:
    """Give it up; safe to call at any time."""
    with suppress(OSError):
        (folder / ROOM).unlink()
