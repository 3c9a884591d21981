"""Strict JSON in files, and bounded reads of any file: no links followed, nothing absurd read.

A run's folder may come from elsewhere (an NNI trial, a colleague), so every read refuses links,
devices and absurd sizes, and every failure is a one-line :class:`~nni_wiring.errors.RunError`.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.lines import bounded_lines
from nni_wiring.files.messages import first_line, reason, shown
from nni_wiring.files.regular import regular_file

MAX_JSON_BYTES = 8 * 2**20
MAX_LINE_BYTES = 8 * 2**20  # an epoch of a DARTS space has .2 MB
MAX_LINES = 20_000
MAX_LINES_BYTES = 512 * 2**20
_FREE_CONTAINERS = 10_000
_BYTES_PER_CONTAINER = 8


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

    An empty object takes two bytes in the text and 64 in memory: their number is limited.

    Raises:
        ValueError: not JSON, not UTF-8, nested too deeply, too many containers, or a number too
            long to read.
    """
    if isinstance(text, str):
        containers = text.count("{") + text.count("[")
    else:
        containers = text.count(b"{") + text.count(b"[")
    if containers > _FREE_CONTAINERS + len(text) // _BYTES_PER_CONTAINER:
        raise ValueError("more containers than a text of its size may hold")
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write_json(path: Path, value: object) -> None:
    """Put `value`, as indented strict JSON, in the place of `path` in one step.

    Raises:
        RunError: as :func:`replace_file`.
        TypeError: as :func:`to_json`; `path` is not touched then.
    """
    replace_file(path, (to_json(value, indent=1) + "\n").encode())


def read_file(path: Path, limit: int = MAX_JSON_BYTES) -> bytes | None:
    """The bytes of the regular file `path`, or None when there is no such file.

    Raises:
        RunError: a link, a device, a folder, more than `limit` bytes, or unreadable.
    """
    try:
        stream = regular_file(path, links=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise RunError(f"cannot read {shown(path)}: {size} bytes, at most {limit}")
        return stream.read(limit)


def read_lines(path: Path) -> Iterator[bytes]:
    """The complete lines of the regular file `path`; none when there is no such file.

    A last line without a newline is left out: it was being written, or the writer was killed.

    Raises:
        RunError: a link, a device, a folder, unreadable, a line of more than MAX_LINE_BYTES, or
            more than MAX_LINES of them.
    """
    try:
        with regular_file(path, links=False) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_LINES_BYTES:
                raise RunError(
                    f"cannot read {shown(path)}: {size} bytes, at most {MAX_LINES_BYTES}"
                )
            for number, line in enumerate(bounded_lines(file, MAX_LINE_BYTES), start=1):
                if number > MAX_LINES:
                    raise RunError(f"{shown(path)} has more than {MAX_LINES} lines")
                if line.endswith(b"\n"):
                    yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError as error:
        raise RunError(f"cannot read {shown(path)}: {error}") from None


def _unreadable(path: Path, error: OSError) -> RunError:
    link = error.errno == errno.ELOOP
    hint = "is a link, which a run's folder may not hold" if link else reason(error)
    return RunError(f"cannot read {shown(path)}: {hint}")


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
        raise RunError(f"{shown(path)} is truncated or not JSON: {first_line(error)}") from None
    if not isinstance(value, dict):
        raise RunError(f"{shown(path)} holds a {type(value).__name__}, a JSON object is expected")
    return value
