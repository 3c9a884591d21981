"""Paths and failures of the operating system, in the words of a one-line message."""

from __future__ import annotations

import errno
from pathlib import Path

_NAME_LENGTH = 120


def reason(error: OSError) -> str:
    """One phrase for an OSError, such as ``No space left on device`` (the disk is full)."""
    text = error.strerror or type(error).__name__
    return f"{text} (the disk is full)" if error.errno in (errno.ENOSPC, errno.EDQUOT) else text


def shown(path: Path | str) -> str:
    """`path` for a one-line message: control characters escaped, cut in the middle when long."""
    text = str(path).encode("unicode_escape").decode("ascii")
    keep = _NAME_LENGTH // 2
    return text if len(text) <= _NAME_LENGTH else f"{text[:keep]}...{text[-keep:]}"


def first_line(error: Exception) -> str:
    """First line of an error's text, cut to a length that fits a message."""
    return str(error).split("\n", 1)[0][:_NAME_LENGTH]
