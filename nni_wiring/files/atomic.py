"""Writing that is done or not done: files and folders replaced, lines appended whole.

A process that dies at any moment leaves the old file or the new one, never a half of either. (One
that is killed while it writes may leave a temporary file, whose name starts with a dot, ends in
``.tmp`` and is taken by nobody else; :func:`sweep` removes such files.)
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from nni_wiring.errors import RunError
from nni_wiring.files.messages import reason, shown

#: The whole content of a file, or a function that writes it to a stream.
Content = bytes | Callable[[BinaryIO], object]
#: Names of the temporary files of :func:`replacing`, as :func:`_temporary` makes them.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+-[0-9a-f]{8}\.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file beside `path` for the block to fill, which then takes the place of `path`.

    Its name is unique, so that several processes may replace `path`; the last one stays. Whatever
    goes wrong, `path` keeps its old content and no temporary file stays behind.

    Raises:
        OSError: the file cannot be made, flushed to the disk or put in place.
    """
    temporary = _temporary(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(temporary, flags, 0o666))
        yield temporary
        with open(temporary, "r+b") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def keep_as(path: Path, other: Path) -> None:
    """Let `other` be what `path` is now, in one step, whatever then becomes of `path`.

    It is a second name of the same file where the file system has such, else a copy.

    Raises:
        OSError: `other` cannot be made; it then is what it was.
    """
    name = _temporary(other)
    try:
        os.link(path, name, follow_symlinks=False)
        os.replace(name, other)  # does nothing where both are one file already
    except OSError:
        with replacing(other) as copy:
            shutil.copyfile(path, copy)
    finally:
        name.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` for the block to fill, which then takes the place of `path`.

    Whatever goes wrong, `path` stays as it was; only a kill between the two renames that replace a
    folder leaves it under the name of a temporary one. Nothing is flushed to the disk.

    Raises:
        RunError: the folder cannot be made, filled or put in place.
    """
    made = _temporary(path)
    old = made.with_suffix(".old.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir()
        yield made
        if path.exists():
            os.rename(path, old)
        os.rename(made, path)
    except OSError as error:
        raise RunError(f"cannot write {shown(path)}: {reason(error)}") from None
    finally:
        if old.exists() and not path.exists():
            os.rename(old, path)  # the second rename failed or was interrupted
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path, *names: str) -> None:
    """Remove the temporary files that killed writers left in `folder` (not below it).

    Only for who knows that nobody else replaces a file of `folder` now, or one of `names` where
    these are given: then other files' temporary ones stay.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found and (not names or found[1] in names):
                with suppress(OSError):  # clutter that cannot be removed harms nobody
                    os.unlink(entry)


def replace_file(path: Path, content: Content) -> None:
    """Put `content` in the place of the file `path` in one step; see :func:`replacing`.

    Raises:
        RunError: the file cannot be written (a full disk, say); `path` is then as before.
    """
    try:
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                content(stream)
    except OSError as error:
        raise RunError(f"cannot write {shown(path)}: {reason(error)}") from None


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


def _temporary(path: Path) -> Path:
    """A name beside `path` that no other process takes."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


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
