"""Unpickling that calls nothing but what the caller allows.

A pickle is a program: it may name any importable callable and call it. ``load_pickle`` resolves
only the globals on an allow list. ``scan_pickle`` walks the opcodes beforehand, so that lengths
and memo indices that would make a ten-byte file allocate gigabytes are refused before anything
is built.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
import re
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from nni_wiring.errors import UnsafePickleError
from nni_wiring.files.messages import brief, printable, reason, shown
from nni_wiring.files.regular import regular_file
from nni_wiring.files.unpickler import BoundedUnpickler

Global = tuple[str, str]
Allowed = Collection[Global] | Mapping[Global, Any]
Buffer = bytes | mmap.mmap

# Anything that the unpickler is known to raise on malformed input.
CORRUPT = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    struct.error,
)

# Python 2 and NumPy 1 spellings of the same modules.
_RENAMED = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}

# Where a module lies if NumPy is still at 1, which knows only some of the new names.
_NUMPY_1 = np.__version__.startswith("1.")

# A reader of records may forget what lies further back than this behind the newest item that was
# read back, but for what the scan found to be read back from there. A training of NAS-Bench-201
# has about 1,000.
MEMO_WINDOW = 1 << 14
_MOST_FAR = 200_000  # the names of fields, data sets and cells

_STOP, _BINGET, _LONG_BINGET, _LONG_BINPUT = b".hjr"
_PAGES = 8 << 20  # bytes of a mapped file
_LINE_LIMIT = 1_000_000  # bytes of one text argument


class Scan(NamedTuple):
    """Offset behind STOP, and the memo indices that the pickle reads back from afar.

    far: indices that are read back after one that is more than MEMO_WINDOW higher was.
    """

    end: int
    far: set[int]


def _fixed_length_run(stop_at: bytes) -> re.Pattern[bytes]:
    """Match a run of opcodes of fixed length, except ``stop_at``: most bytes pass at C speed."""
    by_size: dict[int, bytes] = {}
    for op in pickletools.opcodes:
        code = op.code.encode("latin1")
        size = op.arg.n if op.arg is not None else 0
        if code not in stop_at and size >= 0:
            by_size[size] = by_size.get(size, b"") + re.escape(code)
    parts = [b"[%b].{%d}" % (codes, size) for size, codes in by_size.items()]
    # A memo index below 2**16 costs at most a megabyte: no look is needed.
    parts.append(rb"r..\x00\x00")
    # Short texts are nearly all that is left: spell their lengths out, so that they pass, too.
    for code, width in ((b"X", 4), (b"\x8c", 1)):
        lengths = (re.escape(n.to_bytes(width, "little")) + b".{%d}" % n for n in range(33))
        parts.append(code + b"(?:" + b"|".join(lengths) + b")")
    # Bounded, since the engine keeps a little state for every repetition.
    return re.compile(b"(?:" + b"|".join(parts) + b"){0,20000}", re.DOTALL)


_RUN = _fixed_length_run(b".r")
_RUN_TO_GET = _fixed_length_run(b".rhj")
_BY_CODE = {ord(op.code): op for op in pickletools.opcodes}
_LINES = {c for c, op in _BY_CODE.items() if op.arg and op.arg.n == pickletools.UP_TO_NEWLINE}
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_PREFIXED = {c: _WIDTHS[op.arg.n] for c, op in _BY_CODE.items() if op.arg and op.arg.n in _WIDTHS}


class _Scanner:
    """Steps over the opcodes that are not of fixed length or that touch the memo."""

    def __init__(self, buffer: Buffer, start: int, name: str) -> None:
        self.buffer, self.start, self.name = buffer, start, name
        self.limit = len(buffer)
        self.far: set[int] = set()
        self._newest = 0

    def fail(self, what: str) -> UnsafePickleError:
        return UnsafePickleError(f"{self.name}: {what}")

    def step(self, position: int) -> int:
        """Offset behind the opcode at ``position``."""
        code = self.buffer[position]
        if code in _PREFIXED:
            width = _PREFIXED[code]
            after = position + 1 + width + self._number(position + 1, width)
        elif code == _BINGET:
            self._fetch(self._number(position + 1, 1))
            after = position + 2
        elif code in (_LONG_BINGET, _LONG_BINPUT):
            index = self._index(self._number(position + 1, 4))
            if code == _LONG_BINGET:
                self._fetch(index)
            after = position + 5
        elif code in _LINES:
            after = self._after_lines(position, _BY_CODE[code].name)
        elif code in _BY_CODE:  # a fixed-length opcode that the end cuts
            after = self.limit + 1
        else:
            raise self.fail(f"not a pickle or corrupt (byte {code:#04x} at offset {position})")
        if after > self.limit:
            raise self.fail(f"truncated pickle (the item at offset {position} has no end)")
        return after

    def _number(self, position: int, width: int) -> int:
        return int.from_bytes(self.buffer[position : position + width], "little")

    def _index(self, index: int) -> int:
        # Every put takes at least one byte, so no honest index exceeds the number of bytes.
        if index > self.limit - self.start:
            size = self.limit - self.start
            raise self.fail(f"corrupt pickle (memo index {index} in a pickle of {size} bytes)")
        return index

    def _fetch(self, index: int) -> None:
        if index > self._newest:
            self._newest = index
        elif index < self._newest - MEMO_WINDOW:
            self.far.add(index)
            if len(self.far) > _MOST_FAR:
                raise self.fail("it reads too many items back from afar")

    def _after_lines(self, position: int, opcode: str) -> int:
        after = position + 1
        for _ in range(2 if opcode in ("GLOBAL", "INST") else 1):
            newline = self.buffer.find(b"\n", after, min(self.limit, after + _LINE_LIMIT))
            if newline < 0:
                raise self.fail(f"truncated pickle (no end of line after offset {position})")
            after = newline + 1
        if opcode in ("GET", "PUT"):
            text = bytes(self.buffer[position + 1 : after - 1])
            if not text.isdigit() or len(text) > 10:
                raise self.fail(f"corrupt pickle (memo index {text[:20]!r})")
            index = self._index(int(text))
            if opcode == "GET":
                self._fetch(index)
        return after


def scan_pickle(
    buffer: Buffer, start: int = 0, *, name: str = "pickle", collect: bool = False
) -> Scan:
    """Walk the opcodes from ``start`` to STOP without executing any.

    Args:
        buffer: the bytes, or a memory-mapped file.
        start: offset of the first opcode.
        name: the input's name for the error line.
        collect: also gather the memo indices that are read back from afar (slower).

    Raises:
        UnsafePickleError: truncated data, an unknown opcode, a length beyond the end, or a memo
            index that no stream of this size could have filled.
    """
    run = _RUN_TO_GET if collect else _RUN
    scanner = _Scanner(buffer, start, name)
    position = start
    given_back = start
    while True:
        if position - given_back > _PAGES and isinstance(buffer, mmap.mmap):
            buffer.madvise(mmap.MADV_DONTNEED)  # pages that were read count as the process' memory
            given_back = position
        match = run.match(buffer, position)
        if match and match.end() > position:
            position = match.end()
        elif position >= scanner.limit:
            raise scanner.fail("truncated pickle (no STOP before the end of the data)")
        elif buffer[position] == _STOP:
            return Scan(position + 1, scanner.far)
        else:
            position = scanner.step(position)


def normalise(module: str, name: str) -> Global:
    """Today's spelling of a global that Python 2 or NumPy 1 wrote."""
    return _RENAMED.get(module, module), name


def corrupt(name: str, error: Exception) -> UnsafePickleError:
    """The line for whatever an unpickler raised."""
    return UnsafePickleError(
        f"{name}: corrupt pickle ({type(error).__name__}: {printable(str(error), 200)})"
    )


class Resolver:
    """Looks up allow-listed globals; everything else is refused by name.

    Args:
        allowed: pairs (module, name); a mapping gives the object to use in place of the real one.
        source: the name of the input for the error line.
    """

    def __init__(self, allowed: Allowed, source: str) -> None:
        self._names = {normalise(*pair) for pair in allowed}
        replaced = allowed.items() if isinstance(allowed, Mapping) else ()
        self._objects = {normalise(*pair): item for pair, item in replaced}
        self._source = source

    def check(self, module: str, name: str) -> Global:
        """The normalised pair, or UnsafePickleError naming the offending global."""
        pair = normalise(module, name)
        # A dotted name could walk from an allowed class to anything that it can reach.
        if pair not in self._names or "." in name:
            offender = brief(f"{module:.200}.{name:.200}", 200)
            raise UnsafePickleError(f"{self._source}: refused, its pickle names {offender}")
        return pair

    def replacement(self, pair: Global) -> Any | None:
        """The caller's own object for this global, or None to use the real one."""
        return self._objects.get(pair)


class _RestrictedUnpickler(BoundedUnpickler):
    def __init__(self, data: bytes, resolver: Resolver, encoding: str) -> None:
        super().__init__(io.BytesIO(data), len(data), encoding)
        self._resolver = resolver

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        pair = self._resolver.check(module, name)
        found = self._resolver.replacement(pair)
        if found is not None:
            return found
        place = pair[0].replace("numpy._core", "numpy.core") if _NUMPY_1 else pair[0]
        return super().find_class(place, pair[1])

    def persistent_load(self, pid: object) -> None:
        raise pickle.UnpicklingError("it refers to objects outside the pickle, such as tensors")


def load_pickle(
    source: str | Path | IO[bytes], allowed: Allowed, *, encoding: str = "ASCII"
) -> Any:
    """Unpickle a file, resolving only the globals in ``allowed``.

    Args:
        source: a path, or a binary file that is read to its end.
        allowed: pairs (module, name) that may be named; a mapping also gives replacements.
        encoding: how Python 2 strings are decoded ("latin1" or "bytes" for old NumPy arrays).

    Raises:
        UnsafePickleError: the pickle names another global (given in the line), or it is
            unreadable, truncated or corrupt.
    """
    name = shown(source if isinstance(source, (str, Path)) else getattr(source, "name", "pickle"))
    try:
        if isinstance(source, (str, Path)):
            with regular_file(source) as file:
                data = file.read()
        else:
            data = source.read()
    except OSError as error:
        raise UnsafePickleError(f"{name}: unreadable ({reason(error)})") from error
    return loads_pickle(data, allowed, name=name, encoding=encoding)


def loads_pickle(
    data: bytes, allowed: Allowed, *, name: str = "pickle", encoding: str = "ASCII"
) -> Any:
    """As ``load_pickle``, from bytes in memory; ``name`` stands in the error line."""
    scan_pickle(data, name=name)
    try:
        return _RestrictedUnpickler(data, Resolver(allowed, name), encoding).load()
    except CORRUPT as error:
        raise corrupt(name, error) from None
