"""Opening source files without trusting their sizes: spans of pickles, bounded decompression."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import mmap
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.lines import bounded_lines
from nni_wiring.files.messages import reason, shown, told
from nni_wiring.files.pickles import loads_pickle, scan_pickle
from nni_wiring.files.regular import regular_file

# done, total: in bytes or cells, whatever the source counts
Progress = Callable[[int, int], None]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # what torch.save wrote first before it wrote zip files
_CHUNK = 1 << 20
_DECOMPRESS_ERRORS = (OSError, EOFError, zlib.error, ValueError)


class Span(NamedTuple):
    """The place of one pickle in a memory-mapped file."""

    start: int
    end: int
    far: set[int]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the files of a folder, as hex."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.name.encode())
        with regular_file(file) as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Memory-map a file for reading; BenchmarkError if it is empty or unreadable."""
    try:
        with regular_file(path) as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{shown(path)}: cannot be read ({error})") from error
    with content:
        yield content


def saved_object(path: Path, content: mmap.mmap) -> Span:
    """The span of the main pickle of a file that torch.save wrote, zip or legacy container.

    Raises:
        BenchmarkError: it is neither, its zip is compressed or damaged, or it holds tensors.
        UnsafePickleError: the pickle is truncated or corrupt.
    """
    if content[:2] == b"PK":
        start, size = _zip_member(path)
        return Span(start, *scan_pickle(content, start, name=shown(path), collect=True))
    position = 0
    for expected in (LEGACY_MAGIC, 1001):
        scan = scan_pickle(content, position, name=shown(path))
        if loads_pickle(content[position : scan.end], set(), name=shown(path)) != expected:
            raise BenchmarkError(f"{shown(path)}: not a file of torch.save")
        position = scan.end
    position = scan_pickle(content, position, name=shown(path)).end  # system information
    main = Span(position, *scan_pickle(content, position, name=shown(path), collect=True))
    keys_end = scan_pickle(content, main.end, name=shown(path)).end
    if loads_pickle(content[main.end : keys_end], set(), name=shown(path)) != []:
        raise BenchmarkError(f"{shown(path)}: it holds tensors, which no NAS-Bench-201 table does")
    return main


def _zip_member(path: Path) -> tuple[int, int]:
    """Offset and size of data.pkl in a zip that must store it as it is, with a true checksum."""
    try:
        with regular_file(path) as raw, zipfile.ZipFile(raw) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith("/data.pkl")]
            if len(members) != 1 or members[0].compress_type != zipfile.ZIP_STORED:
                raise BenchmarkError(
                    f"{shown(path)}: not a file of torch.save (no stored data.pkl)"
                )
            member = members[0]
            with archive.open(member) as file:
                while file.read(_CHUNK):  # reading to the end checks the CRC
                    pass
        with regular_file(path) as raw:
            raw.seek(member.header_offset + 26)
            lengths = raw.read(4)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *_DECOMPRESS_ERRORS) as error:
        raise BenchmarkError(f"{shown(path)}: damaged zip file ({told(error)})") from error
    names = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return member.header_offset + 30 + names, member.file_size


def read_compressed(path: Path, limit: int) -> bytes:
    """Contents of a .bz2 or .gz file (or of a plain one), at most ``limit`` bytes.

    Raises:
        BenchmarkError: it is damaged, or would grow beyond the limit.
    """
    try:
        with regular_file(path) as raw, _opened(raw) as file:
            content = file.read(limit + 1)
    except _DECOMPRESS_ERRORS as error:
        raise BenchmarkError(f"{shown(path)}: damaged or unreadable ({told(error)})") from error
    if len(content) > limit:
        raise BenchmarkError(f"{shown(path)}: it unpacks to more than {limit >> 20} MiB; refused")
    return content


@contextmanager
def text_lines(path: Path, limit: int, longest: int) -> Iterator[Iterator[str]]:
    """The lines of a UTF-8 text in a .bz2 or .gz file (or in a plain one).

    Args:
        path: the file.
        limit: bytes that it may unpack to.
        longest: bytes that a line may have.

    Raises:
        BenchmarkError: it is damaged, no UTF-8, or larger than that.
    """
    try:
        with regular_file(path) as raw, _opened(raw) as file:
            yield _decoded(path, bounded_lines(file, longest), limit)
    except _DECOMPRESS_ERRORS as error:
        raise BenchmarkError(f"{shown(path)}: damaged or unreadable ({told(error)})") from error


def _decoded(path: Path, lines: Iterator[bytes], limit: int) -> Iterator[str]:
    size = 0
    for number, line in enumerate(lines):
        size += len(line)
        if size > limit:
            raise BenchmarkError(
                f"{shown(path)}: it unpacks to more than {limit >> 20} MiB; refused"
            )
        try:
            yield line.decode("utf-8" if number else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise BenchmarkError(f"{shown(path)}: not a table with a header ({error})") from error


@contextmanager
def unpacked(path: Path, ratio: int, progress: Progress, scratch: Path) -> Iterator[Path]:
    """A plain copy of a .bz2 file, for a while in the folder ``scratch``, at most ``ratio`` times
    its size plus 16 MiB.
    """
    limit = ratio * path.stat().st_size + (16 << 20)
    copy = scratch / "unpacked.pickle"
    try:
        with open(copy, "wb") as plain:
            for chunk in _chunks(path, progress):
                if plain.tell() + len(chunk) > limit:
                    raise BenchmarkError(
                        f"{shown(path)}: it unpacks to more than {ratio} times its size"
                    )
                plain.write(chunk)
    except OSError as error:  # not one of reading, see _chunks
        copy.unlink(missing_ok=True)
        raise BenchmarkError(f"{shown(copy)}: cannot be written ({reason(error)})") from None
    try:
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _chunks(path: Path, progress: Progress) -> Iterator[bytes]:
    """The unpacked content of a .bz2 file."""
    packed = path.stat().st_size
    try:
        with regular_file(path) as raw, bz2.open(raw) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
                progress(raw.tell(), packed)
    except _DECOMPRESS_ERRORS as error:
        raise BenchmarkError(f"{shown(path)}: damaged or unreadable ({told(error)})") from error


def _opened(raw: IO[bytes]) -> IO[bytes]:
    """The content of ``raw`` at its beginning, unpacked as it is read."""
    start = raw.read(3)
    raw.seek(0)
    if start == b"BZh":
        return bz2.open(raw)
    if start[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.open(raw))
    return raw
