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
    keep, text = _NAME_LENGTH // 2, str(path)
    if len(text) > _NAME_LENGTH:  # before anything is made of it
        text = f"{text[:keep]}{text[-keep - 1 :]}"
    text = text.encode("unicode_escape").decode("ascii")
    return text if len(text) <= _NAME_LENGTH else f"{text[:keep]}...{text[-keep:]}"


def brief(value: object, length: int = 40) -> str:
    """A foreign value for a one-line message: never long, never slow, whatever it is.

    Texts are quoted and cut, other plain values written out where that is short, and of everything
    else the type is named: the text of a nested tuple, or of a number of a million digits, may take
    for ever.
    """
    if isinstance(value, (str, bytes)):
        return repr(value if len(value) <= length else value[:length])
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if (
        isinstance(value, tuple)
        and len(value) <= 3
        and not any(isinstance(v, tuple) for v in value)
    ):
        return f"({', '.join(brief(item, length // 2) for item in value)})"
    return f"a {type(value).__name__}"


def printable(text: str, length: int = 2000) -> str:
    """`text` for a terminal: control characters escaped, cut to `length` characters."""
    cut = text if len(text) <= length else f"{text[: length - 3]}..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def first_line(error: Exception) -> str:
    """First line of an error's text, cut to a length that fits a message."""
    return str(error).split("\n", 1)[0][:_NAME_LENGTH]


def told(error: Exception, length: int = 300) -> str:
    """A foreign library's words on a foreign file, which it may quote at any length."""
    return printable(str(error), length)
