from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.errors import UnsafePickleError
from nni_wiring.files.pickles import load_pickle, loads_pickle, scan_pickle

NUMPY = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
}


class Call:
    """Pickles to a call of ``function(*arguments)``."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(protocol: int) -> None:
    data = {"a": [1, 2.5, None, True, "text" * 90], 3: (b"bytes" * 99, {4}), "n": -(2**70)}
    assert (
        load_pickle(
            io.BytesIO(pickle.dumps(data, protocol)),
            {("_codecs", "encode")}
            | {
                ("builtins", "set"),
                ("__builtin__", "set"),
                ("__builtin__", "bytes"),
            },
        )
        == data
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_scan_ends_where_python_stops(protocol: int) -> None:
    data = [list(range(300)), {str(i): float(i) for i in range(999)}, b"\n" * 300, "é" * 300]
    first = pickle.dumps(data, protocol)
    assert scan_pickle(first + b"rest").end == len(first)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_refused_by_name_and_never_made(protocol: int, tmp_path: Path) -> None:
    witness = tmp_path / "called"
    data = pickle.dumps(Call(os.mkdir, str(witness)), protocol)
    with pytest.raises(UnsafePickleError, match=r"refused, its pickle names 'posix\.mkdir'"):
        loads_pickle(data, NUMPY)
    assert not witness.exists()


def test_inst_and_dotted_names_are_refused() -> None:
    with pytest.raises(UnsafePickleError, match=r"'os\.system'"):
        loads_pickle(b"(S'true'\nios\nsystem\n.", set())
    walk = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93."
    with pytest.raises(UnsafePickleError, match=r"OrderedDict\.__init__"):
        loads_pickle(
            walk, {("collections", "OrderedDict"), ("collections", "OrderedDict.__init__")}
        )


def test_persistent_and_extension_codes_are_refused() -> None:
    for data in (b"\x80\x02K\x01Q.", b"Pstorage\n.", b"\x80\x02\x82\x01."):
        with pytest.raises(UnsafePickleError):
            loads_pickle(data, set())


@pytest.mark.parametrize("old", [False, True])
def test_numpy_arrays_and_scalars_also_of_numpy_1(old: bool) -> None:
    data = {"x": np.arange(6.0).reshape(2, 3), "y": np.float64(2.5)}
    content = pickle.dumps(data, 2)
    if old:
        content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    loaded = loads_pickle(content, NUMPY | {("_codecs", "encode")})
    np.testing.assert_array_equal(loaded["x"], data["x"])
    assert loaded["y"] == 2.5


def test_a_mapping_replaces_objects() -> None:
    data = pickle.dumps(collections.OrderedDict(a=1))
    assert type(loads_pickle(data, {("collections", "OrderedDict"): dict})) is dict


def test_python_2_strings_take_the_encoding() -> None:
    data = b"S'\\xe9'\n."
    assert loads_pickle(data, set(), encoding="latin1") == "é"
    with pytest.raises(UnsafePickleError, match="corrupt"):
        loads_pickle(data, set())


WHOLE = pickle.dumps({"a": [1.5] * 50, "b": "text" * 100}, 4)


@pytest.mark.parametrize("length", [0, 1, 2, 11, 40, len(WHOLE) // 2, len(WHOLE) - 1])
def test_truncated_at_any_point(length: int) -> None:
    with pytest.raises(UnsafePickleError, match="^name: "):
        loads_pickle(WHOLE[:length], set(), name="name")


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is text",
        b"\x00" * 100,
        b"\x1f\x8b\x08" + bytes(50),
        b"\x80\x63.",
        b"0.",
        b"a.",
        b"\x80\x04h\x05.",
        b"I12x\n.",
        b"\x80\x02]K\x01K\x02s.",
    ],
)
def test_what_is_no_pickle_is_one_line(data: bytes) -> None:
    with pytest.raises(UnsafePickleError) as caught:
        loads_pickle(data, set(), name="file.pkl")
    assert str(caught.value).startswith("file.pkl: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b".",
        b"]p4294967295\n.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b".",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x02X" + struct.pack("<I", 2**31) + b"a.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    ],
)
def test_a_few_bytes_cannot_claim_gigabytes(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UnsafePickleError):
            loads_pickle(data, set())
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnsafePickleError, match="No such file"):
        load_pickle(tmp_path / "none.pkl", set())
