"""Safe files inside one folder: atomic replaces, bounded reads, strict JSON, no links followed.

A run's folder may come from elsewhere (an NNI trial, a colleague), so every read refuses links,
devices and absurd sizes, and every failure is a one-line :class:`~nni_wiring.errors.RunError`.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from nni_wiring.errors import RunError

MAX_JSON_BYTES = 8 * 2**20
MAX_LINES_BYTES = 512 * 2**20
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


def finite(value: object) -> object:
    """Copy of `value` in plain JSON types: arrays, tensors to lists, NaN and infinities to None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value


def to_json(value: object, indent: int | None = None) -> str:
    """Strict JSON text of `value` (see :func:`finite`).

    Raises:
        TypeError: `value` holds something that JSON has no form for.
    """
    return json.dumps(finite(value), allow_nan=False, ensure_ascii=False, indent=indent)


def from_json(text: str | bytes) -> object:
    """Parse `text`; NaN and infinities become None.

    Raises:
        ValueError: not JSON, not UTF-8, nested too deeply, or a number too long to read.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a new file beside `path`, then put it in the place of `path` in one step.

    Whatever goes wrong, `path` keeps its old content and no temporary file stays behind.

    Raises:
        RunError: the file cannot be written (a full disk, say).
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(temporary, flags, 0o666), "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {shown(path)}: {reason(error)}") from None


def write_json(path: Path, value: object) -> None:
    """Put `value`, as indented strict JSON, in the place of `path` in one step.

    Raises:
        RunError: as :func:`replace_file`.
        TypeError: as :func:`to_json`; `path` is not touched then.
    """
    content = (to_json(value, indent=1) + "\n").encode()
    replace_file(path, lambda stream: stream.write(content))


def read_file(path: Path, limit: int = MAX_JSON_BYTES) -> bytes | None:
    """The bytes of the regular file `path`, or None when there is no such file.

    Raises:
        RunError: a link, a device, a folder, more than `limit` bytes, or unreadable.
    """
    # O_NONBLOCK: a named pipe in a foreign folder must not hang the reader.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        link = error.errno == errno.ELOOP
        hint = "is a link, which a run's folder may not hold" if link else reason(error)
        raise RunError(f"cannot read {shown(path)}: {hint}") from None
    with os.fdopen(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise RunError(f"cannot read {shown(path)}: not a regular file")
        if state.st_size > limit:
            raise RunError(f"cannot read {shown(path)}: {state.st_size} bytes, at most {limit}")
        return stream.read(limit)


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file `path`, or None when there is no such file.

    Raises:
        RunError: as :func:`read_file`, or the content is not one JSON object.
    """
    content = read_file(path)
    if content is None:
        return None
    if not content.strip():
        raise RunError(f"{shown(path)} is empty, a JSON object is expected")
    try:
        value = from_json(content)
    except ValueError as error:
        raise RunError(f"{shown(path)} is truncated or not JSON: {_first_line(error)}") from None
    if not isinstance(value, dict):
        raise RunError(f"{shown(path)} holds a {type(value).__name__}, a JSON object is expected")
    return value


def append_line(path: Path, line: str) -> None:
    """Append `line` and a newline to `path` and flush it to the disk; all of it or nothing.

    Bytes after the last newline (a write that was cut off) are dropped first.

    Raises:
        RunError: the file cannot be written; it then holds what it held before.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        with FileIO(os.open(path, flags, 0o666), "r+") as stream:
            end = _end_of_last_line(stream)
            stream.truncate(end)
            stream.seek(end)
            try:
                _write_all(stream, line.encode() + b"\n")
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(end)
                raise
    except OSError as error:
        raise RunError(f"cannot write {shown(path)}: {reason(error)}") from None


def _write_all(stream: FileIO, content: bytes) -> None:
    """Write `content` to an unbuffered stream, whose write may take only a part."""
    view = memoryview(content)
    while view:
        view = view[stream.write(view) :]


def _end_of_last_line(stream: FileIO, block: int = 65536) -> int:
    """Offset just after the last newline of `stream`, 0 when it has none."""
    position = stream.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - block)
        stream.seek(start)
        found = stream.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Make a rename durable where the platform allows a folder to be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Network file systems answer EINVAL here; the rename itself has happened.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    """First line of an error's text, cut to a length that fits a message."""
    return str(error).split("\n", 1)[0][:_NAME_LENGTH]
