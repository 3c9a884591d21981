"""A file of named arrays with a JSON header: one uncompressed .npz, replaced atomically, and the
folder that such files are kept in.
"""

from __future__ import annotations

import io
import json
import os
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.atomic import replacing

FORMAT = 2
FIRST_FORMAT = 1  # without the benchmark, which was NAS-Bench-201
PACKED = "packed"  # see packed.py
#: Where tables lie that come with this package.
SHIPPED = Path(__file__).parent / "shipped"
SIZE_LIMIT = 64 * 2**20  # bytes; a full table has about 5 MB
# What reading a damaged or foreign .npz raises.
BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,  # encrypted, or an unknown compression
    SyntaxError,  # numpy's header reader
    tokenize.TokenError,
    zipfile.BadZipFile,
    BenchmarkError,
)


def cache_dir() -> Path:
    """$NNI_WIRING_CACHE, else $XDG_CACHE_HOME/nni-wiring, else ~/.cache/nni-wiring."""
    chosen = os.environ.get("NNI_WIRING_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nni-wiring"


def table_file(name: str) -> Path:
    """The file of a table: the user's own, else the one that comes with this package."""
    own, shipped = cache_dir() / "tables" / f"{name}.npz", SHIPPED / f"{name}.npz"
    return shipped if shipped.is_file() and not own.is_file() else own


def table_files() -> list[str]:
    """The names of the user's own tables and of those that come with this package, sorted."""
    folders = (cache_dir() / "tables", SHIPPED)
    return sorted({path.stem for folder in folders for path in folder.glob("*.npz")})


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` so that a reader sees the old file or the new one.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def save_arrays(path: Path, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays and a JSON header to one file, atomically; OSError as above."""
    text = json.dumps(header, sort_keys=True).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(text, np.uint8), **arrays)
    write_atomically(path, buffer.getvalue())


def read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The JSON header of an open table file, after a check that no member can blow up."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise BenchmarkError("it is not a table file (compressed members)")
    header = json.loads(bytes(read_array(archive, "header")))
    if not isinstance(header, dict) or header.get("format") not in (
        *(FIRST_FORMAT, FORMAT, PACKED),
    ):
        raise BenchmarkError("it is not a table file of this version")
    return header


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an open table file (its CRC is checked, pickled objects are refused)."""
    if archive.getinfo(f"{name}.npy").file_size > SIZE_LIMIT:
        raise BenchmarkError(f"its array {name!r} is too large")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)
