"""Opening a file that somebody else names or made: regular files only, and nothing that waits.

A named pipe hangs whoever opens it, a device never ends. Both may lie where a table, a checkpoint
or a column map is expected.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def regular_file(path: Path | str, *, links: bool = True) -> BinaryIO:
    """Open the regular file `path` for reading.

    Args:
        path: the file.
        links: follow a link in the last part of `path`; False refuses it (ELOOP).

    Raises:
        OSError: as `open`, and where `path` is a pipe, a device, a socket or a folder; its
            ``strerror`` is one phrase, so that readers of all kinds say it in their own line.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer opens at once
    if not links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
