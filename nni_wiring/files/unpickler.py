"""An unpickler whose time and memory stay in proportion to the pickle.

It is Python's own reference unpickler, so that each of its steps can be checked. What is refused,
since a few bytes of it take for ever or fill the memory, and since no table, image file or
checkpoint holds it:

- keys of dicts and sets that take long to hash, or that all have one hash: nested tuples (2^34
  hashes in 150 bytes), tuples without a text in front, whole numbers beyond 64 bits. (A text's hash
  cannot be foreseen, nor that of a tuple that starts with one.)
- more containers than an eighth of the bytes, and 10,000: an empty set takes one byte in the
  pickle and 224 in memory.
- objects made otherwise than by a call of what the caller allows.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import IO, Any

# Any: the reference unpickler is not in typeshed.
_Reference: Any = vars(pickle)["_Unpickler"]

_LONGEST_TUPLE = 8
_WIDEST_KEY = 64  # bits
_FREE_CONTAINERS = 10_000
_BYTES_PER_CONTAINER = 8

_CONTAINERS = (
    pickle.MARK,
    pickle.EMPTY_LIST,
    pickle.EMPTY_DICT,
    pickle.EMPTY_SET,
    pickle.TUPLE1,
    pickle.TUPLE2,
    pickle.TUPLE3,
    pickle.BYTEARRAY8,
)


def _is_key(value: object, nested: bool = False) -> bool:
    if value is None or isinstance(value, (str, bytes, float)):
        return True
    if isinstance(value, int):
        return value.bit_length() <= _WIDEST_KEY
    if nested or not isinstance(value, tuple) or len(value) > _LONGEST_TUPLE:
        return False
    starts_with_text = bool(value) and isinstance(value[0], str) and value[0] != ""
    return starts_with_text and all(_is_key(item, nested=True) for item in value)


def _check_keys(keys: Iterable[object]) -> None:
    for key in keys:
        if type(key) is not str and not _is_key(key):
            raise pickle.UnpicklingError(f"a {type(key).__name__} that may not be a key")


class BoundedUnpickler(_Reference):
    """Reads one pickle; ``find_class`` and ``persistent_load`` are the subclass's.

    Args:
        file: stands at the pickle's start.
        size: bytes of the pickle.
        encoding: of Python 2 strings.
    """

    dispatch = dict(_Reference.dispatch)

    def __init__(self, file: IO[bytes], size: int, encoding: str = "ASCII") -> None:
        super().__init__(file, encoding=encoding)
        self.memo: dict[int, Any]
        self._containers_left = _FREE_CONTAINERS + size // _BYTES_PER_CONTAINER

    def _count(self) -> None:
        self._containers_left -= 1
        if self._containers_left < 0:
            raise pickle.UnpicklingError("more containers than a pickle of its size may hold")

    def _instantiate(self, klass: object, args: object) -> None:
        raise pickle.UnpicklingError("it makes objects in a way that no table uses")

    def _load_newobj(self) -> None:
        raise pickle.UnpicklingError("it makes objects in a way that no table uses")

    def _load_reduce(self) -> None:
        self._count()
        call, arguments = self.stack[-2:]
        if arguments and call in (set, frozenset):
            _check_keys(arguments[0])
        elif arguments and isinstance(call, type) and issubclass(call, dict):
            _check_keys(pair[0] for pair in arguments[0])
        _Reference.load_reduce(self)

    def _load_build(self) -> None:
        if isinstance(self.stack[-2], (dict, list, set, tuple)):
            raise pickle.UnpicklingError("it gives attributes to a container")
        _Reference.load_build(self)

    def _load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._fill([key], [value])

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        self._fill(items[::2], items[1::2])

    def _load_dict(self) -> None:
        self._count()
        items = self.pop_mark()
        self.stack.append({})
        self._fill(items[::2], items[1::2])

    def _fill(self, keys: list[Any], values: list[Any]) -> None:
        """Put pairs into the dict on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise pickle.UnpicklingError(f"it puts items into a {type(target).__name__}")
        _check_keys(keys)
        target.update(zip(keys, values, strict=True))

    def _load_additems(self) -> None:
        items = self.pop_mark()
        _check_keys(items)
        self.stack[-1].update(items)

    def _load_frozenset(self) -> None:
        self._count()
        items = self.pop_mark()
        _check_keys(items)
        self.stack.append(frozenset(items))

    dispatch[pickle.REDUCE[0]] = _load_reduce
    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.NEWOBJ[0]] = _load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.DICT[0]] = _load_dict
    dispatch[pickle.ADDITEMS[0]] = _load_additems
    dispatch[pickle.FROZENSET[0]] = _load_frozenset


def _counted(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def counted(unpickler: BoundedUnpickler) -> None:
        unpickler._count()
        load(unpickler)

    return counted


for _code in _CONTAINERS:
    BoundedUnpickler.dispatch[_code[0]] = _counted(_Reference.dispatch[_code[0]])
