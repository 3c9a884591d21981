"""Time and memory of unpickling stay in proportion to the pickle."""

from __future__ import annotations

import pickle
import tracemalloc
from collections import OrderedDict

import pytest

from nni_wiring.errors import UnsafePickleError
from nni_wiring.files.pickles import MEMO_WINDOW, loads_pickle, scan_pickle

ALLOWED = {("builtins", "set"), ("collections", "OrderedDict")}


def nested_tuple(depth: int) -> bytes:
    """Code of a tuple whose two halves are one tuple, and so on: 2^depth hashes."""
    parts = [b"K\x01"]
    for level in range(depth):
        parts.append(b"q%c" % level + b"h%c" % level + b"\x86")
    return b"".join(parts)


def whole_numbers_of_one_hash(count: int) -> bytes:
    """Code of the numbers k(2^61 - 1), each with a None behind it."""
    parts = []
    for k in range(8, 8 + count):
        number = pickle.encode_long(k * (2**61 - 1))
        parts.append(b"\x8a" + bytes([len(number)]) + number + b"N")
    return b"".join(parts)


def tuples_of_one_hash(count: int) -> bytes:
    """Code of tuples (1, number) as keys: who chooses the numbers can choose the hash."""
    return b"".join(b"K\x01J" + k.to_bytes(4, "little") + b"\x86N" for k in range(count))


SLOW_KEYS = {
    "nested tuple as key": b"}" + nested_tuple(34) + b"Ns.",
    "nested tuples as keys": b"}(" + nested_tuple(34) + b"Nu.",
    "nested tuple in the dict opcode": b"(" + nested_tuple(34) + b"Nd.",
    "nested tuple in a set": b"\x8f(" + nested_tuple(34) + b"\x90.",
    "nested tuple in a frozenset": b"(" + nested_tuple(34) + b"\x91.",
    "set made of a nested tuple": b"cbuiltins\nset\n]" + nested_tuple(34) + b"a\x85R.",
    "ordered dict made of pairs": (
        b"ccollections\nOrderedDict\n](" + nested_tuple(34) + b"Nla\x85R."
    ),
    "colliding numbers": b"}(" + whole_numbers_of_one_hash(50_000) + b"u.",
    "colliding tuples": b"}(" + tuples_of_one_hash(3) + b"u.",
}


@pytest.mark.parametrize("name", SLOW_KEYS)
def test_keys_that_take_for_ever_are_refused(name: str) -> None:
    with pytest.raises(UnsafePickleError, match="may not be a key"):
        loads_pickle(b"\x80\x04" + SLOW_KEYS[name], ALLOWED)


@pytest.mark.parametrize("code", [b"\x8f", b"]", b"}", b"(", b")\x85", b"K\x01\x85\x85\x85\x85"])
def test_floods_of_containers_are_refused_before_they_fill_the_memory(code: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UnsafePickleError, match="more containers"):
            loads_pickle(b"\x80\x04(" + code * 200_000 + b"l.", set())
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("code", [b"}N}\x8c\x01aK\x01s\x86b.", b"(cbuiltins\nset\no."])
def test_containers_get_no_attributes_and_are_made_by_their_own_opcodes(code: bytes) -> None:
    with pytest.raises(UnsafePickleError, match="gives attributes|in a way that no table"):
        loads_pickle(b"\x80\x04" + code, ALLOWED)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_keys_that_tables_have_are_read(protocol: int) -> None:
    data = {
        ("cifar10", 777): OrderedDict({"a": 1.5, 3: None}),
        -1: {"x", 4.5, ("a", 1, None)},
        b"b": [{}, {True: ()}],
    }
    allowed = {*ALLOWED, ("__builtin__", "set"), ("_codecs", "encode"), ("__builtin__", "bytes")}
    assert loads_pickle(pickle.dumps(data, protocol), allowed) == data


def test_the_scan_gathers_what_is_read_back_from_afar() -> None:
    early, numbers = "early", [float(i) for i in range(2 * MEMO_WINDOW)]
    near = [[i] for i in range(2 * MEMO_WINDOW)]
    data = pickle.dumps([early, near, near[-1], early, numbers, near[-1]], 4)
    # memo: 0 the outer list, 1 `early`, 2 `near`, 3 .. its lists
    assert scan_pickle(data, collect=True).far == {1}
    assert scan_pickle(pickle.dumps([early, early], 2), collect=True).far == set()
