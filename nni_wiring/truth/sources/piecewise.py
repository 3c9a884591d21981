"""Reading the official pickles one architecture at a time, naming nothing but plain data.

The whole table has half a billion Python objects, 25 GB. Here a record goes to a callback as soon
as it is complete and is dropped, and so is what the unpickler remembers, as the records pass by.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import shown
from nni_wiring.files.pickles import CORRUPT, MEMO_WINDOW, Global, Resolver, corrupt
from nni_wiring.files.regular import regular_file
from nni_wiring.files.unpickler import BoundedUnpickler
from nni_wiring.truth.sources.containers import Progress, Span

Record = dict[str, Any]
_MARKS = ("arch_index", "arch_str", "all_results")
_MOST_UNREAD = 1 << 18  # items since the newest one that was read back; honest files have hundreds
_CODES = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u8": "Q", "u4": "I", "b1": "?"}


class _NumberType:
    """Stands for numpy.dtype: a plain number type, little-endian."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in _CODES:
            raise pickle.UnpicklingError(f"number type {code!r}; only plain numbers are allowed")
        self.format = "<" + _CODES[code]

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] not in ("<", "|", "="):
            raise pickle.UnpicklingError(f"byte order {state[1]!r} is not supported")


def _number(kind: _NumberType, data: bytes) -> float | int | bool:
    """Stands for numpy's scalar: a Python number."""
    value: float | int | bool = struct.unpack(kind.format, data)[0]
    return value


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for _codecs.encode, which protocol 2 uses for bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}; only latin1 is allowed")
    return text.encode("latin1")


ALLOWED: dict[Global, Any] = {
    ("collections", "OrderedDict"): dict,
    ("builtins", "set"): set,
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "scalar"): _number,
    ("_codecs", "encode"): _latin1,
}


class _PiecewiseUnpickler(BoundedUnpickler):
    """Has a hook on finished records, and a memo that forgets what is not read back any more.

    The memo holds the items within MEMO_WINDOW behind the newest one that was read back, those
    since then, and those that the scan found to be read back from afar.
    """

    dispatch = dict(BoundedUnpickler.dispatch)

    def __init__(
        self, file: IO[bytes], span: Span, name: str, consume: Callable[[Record], None]
    ) -> None:
        super().__init__(file, span.end - span.start)
        self._far = span.far
        self._newest = 0
        self._full = MEMO_WINDOW
        self._resolver = Resolver(ALLOWED, name)
        self._consume = consume
        self._puts = 0

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        return self._resolver.replacement(self._resolver.check(module, name))

    def persistent_load(self, pid: object) -> None:
        raise pickle.UnpicklingError("it refers to objects outside the pickle, such as tensors")

    def _put(self, index: int) -> None:
        self._puts += 1
        self.memo[index] = self.stack[-1]
        if len(self.memo) > self._full:
            self._forget()

    def _forget(self) -> None:
        floor, far = self._newest - MEMO_WINDOW, self._far
        kept = {i: item for i, item in self.memo.items() if i >= floor or i in far}
        if len(kept) > len(far) + _MOST_UNREAD:
            floor = self._puts - _MOST_UNREAD // 2
            kept = {i: item for i, item in kept.items() if i >= floor or i in far}
        self.memo = kept
        self._full = len(kept) + MEMO_WINDOW

    def _get(self, index: int) -> None:
        self._newest = max(self._newest, index)
        self.append(self.memo[index])

    def _load_binget(self) -> None:
        self._get(self.read(1)[0])

    def _load_long_binget(self) -> None:
        self._get(int.from_bytes(self.read(4), "little"))

    def _load_get(self) -> None:
        self._get(int(self.readline()[:-1]))

    def _load_binput(self) -> None:
        self._put(self.read(1)[0])

    def _load_long_binput(self) -> None:
        self._put(int.from_bytes(self.read(4), "little"))

    def _load_put(self) -> None:
        self._put(int(self.readline()[:-1]))

    def _load_memoize(self) -> None:
        self._put(self._puts)

    def _load_setitem(self) -> None:
        super()._load_setitem()
        self._hand_over()

    def _load_setitems(self) -> None:
        super()._load_setitems()
        self._hand_over()

    def _hand_over(self) -> None:
        record = self.stack[-1]
        if all(record.get(mark) is not None for mark in _MARKS):
            self._consume(record)
            record.clear()

    dispatch[pickle.BINGET[0]] = _load_binget
    dispatch[pickle.LONG_BINGET[0]] = _load_long_binget
    dispatch[pickle.GET[0]] = _load_get
    dispatch[pickle.BINPUT[0]] = _load_binput
    dispatch[pickle.LONG_BINPUT[0]] = _load_long_binput
    dispatch[pickle.PUT[0]] = _load_put
    dispatch[pickle.MEMOIZE[0]] = _load_memoize
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems


def read_records(
    path: Path,
    content: mmap.mmap,
    span: Span,
    consume: Callable[[Record], None],
    progress: Progress,
) -> dict[str, Any]:
    """Unpickle one span, calling ``consume`` with every architecture record as it completes.

    Args:
        path: for the error line.
        content, span: the memory-mapped file and where its pickle lies.
        consume: gets a dict with arch_index, arch_str and all_results; it is emptied afterwards.
        progress: called with bytes read and bytes in all.

    Returns:
        The outer dict, its records emptied.

    Raises:
        UnsafePickleError: another global is named (it is given), or the data is corrupt.
        BenchmarkError: it is not a table, or whatever ``consume`` raises.
    """

    def consume_and_report(record: Record) -> None:
        consume(record)
        progress(file.tell() - span.start, span.end - span.start)

    with regular_file(path) as file:
        file.seek(span.start)
        unpickler = _PiecewiseUnpickler(file, span, str(path), consume_and_report)
        try:
            table = unpickler.load()
        except CORRUPT as error:
            raise corrupt(shown(path), error) from None
    if not isinstance(table, dict):
        raise BenchmarkError(
            f"{shown(path)}: not a table (a {type(table).__name__} instead of a dict)"
        )
    return table
