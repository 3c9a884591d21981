"""Gzipped JSON: rows that are kept beside a page."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.json_files import from_json, read_file, to_json
from nni_wiring.files.messages import first_line, shown

SUFFIX = ".json.gz"
MAX_UNPACKED_BYTES = 64 * 2**20


def read_gzipped(path: Path) -> dict[str, Any]:
    """The JSON object in a gzipped file.

    Raises:
        RunError: as :func:`read_file`; there is no such file, it holds something else, or more than
            MAX_UNPACKED_BYTES.
    """
    content = read_file(path)
    if content is None:
        raise RunError(f"no file {shown(path)}")
    reader = zlib.decompressobj(wbits=31)
    try:
        text = reader.decompress(content, MAX_UNPACKED_BYTES)
        if reader.unconsumed_tail:
            raise RunError(f"{shown(path)} holds more than {MAX_UNPACKED_BYTES} bytes")
        value = from_json(text)
    except (zlib.error, ValueError) as error:
        raise RunError(f"{shown(path)} is not gzipped JSON: {first_line(error)}") from None
    if not isinstance(value, dict):
        raise RunError(f"{shown(path)} holds a {type(value).__name__}, a JSON object is expected")
    return value


def write_gzipped(path: Path, value: dict[str, Any]) -> None:
    """Put ``value`` in the place of ``path`` in one step; equal values give equal bytes.

    Raises:
        RunError: as :func:`replace_file`.
    """
    replace_file(path, gzip.compress(to_json(value).encode(), 9, mtime=0))
