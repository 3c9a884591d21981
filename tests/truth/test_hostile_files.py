"""Hostile and broken sources: each is refused with one line, and nothing is written."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_wiring.errors import WiringError
from nni_wiring.truth import cache_dir, load_table, table_names
from nni_wiring.truth.curves import CurveKey
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.sources.containers import LEGACY_MAGIC

EPOCHS = 12


class Call:
    """Pickles to a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def trial(**changes: object) -> dict[str, Any]:
    """One honest training of 12 epochs, with changes."""
    curve = {epoch: 10.0 + epoch for epoch in range(EPOCHS)}
    evaluated = {f"x-valid@{epoch}": 20.0 + epoch for epoch in range(EPOCHS)}
    return {
        "epochs": EPOCHS,
        "train_acc1es": curve,
        "train_losses": curve,
        "train_times": OrderedDict(curve),
        "eval_acc1es": evaluated,
        "eval_losses": evaluated,
        "eval_times": evaluated,
        "latency": [0.01],
        **changes,
    }


def record(index: int = 0, **changes: object) -> dict[str, Any]:
    return {
        "arch_index": index,
        "arch_str": load_table("bundled").arch(index),
        "all_results": {("cifar10-valid", 777): trial()},
        **changes,
    }


def table(**changes: object) -> dict[str, Any]:
    """An honest official table of the first cell."""
    return {
        "meta_archs": [load_table("bundled").arch(0)],
        "arch2infos": {0: {"less": record(), "full": {}}},
        "evaluated_indexes": {0},
        **changes,
    }


def with_trial(**changes: object) -> dict[str, Any]:
    results = {("cifar10-valid", 777): trial(**changes)}
    return table(arch2infos={0: {"less": record(all_results=results)}})


def with_record(**changes: object) -> dict[str, Any]:
    return table(arch2infos={0: {"less": record(**changes)}})


def zipped(content: bytes, method: int = zipfile.ZIP_STORED, name: str = "a/data.pkl") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def pth(content: object) -> bytes:
    return zipped(pickle.dumps(content, 2))


def legacy(content: object, keys: object = ()) -> bytes:
    parts = (LEGACY_MAGIC, 1001, {"little_endian": True}, content, list(keys))  # type: ignore[call-overload]
    return b"".join(pickle.dumps(part, 2) for part in parts)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def changed_curve(name: str, key: object, value: object) -> dict[str, Any]:
    series = dict(trial()[name])
    series[key] = value
    return with_trial(**{name: series})


NAN, INF = float("nan"), float("inf")
HUGE_MEMO = b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"."
NUMBER = np.float64(1.0)
SHORT_NUMBER = (
    b"\x80\x04cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n\x8c\x02f8K\x00K\x01\x87R"
    b"C\x03abc\x86R."
)

PTH_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "system call": (lambda: pth(Call(os.system, "true")), "posix.system"),
    "eval deep inside": (lambda: pth(with_trial(latency=Call(eval, "1+1"))), "eval"),
    "legacy with a call": (lambda: legacy(Call(os.mkdir, "x")), "posix.mkdir"),
    "getattr gadget": (lambda: pth(Call(getattr, 1, "real")), "getattr"),
    "partial gadget": (lambda: pth(Call(__import__("functools").partial, print)), "partial"),
    "numpy object type": (lambda: pth([np.dtype("O")]), "number type 'O8'"),
    "codec": (lambda: pth(Call(__import__("_codecs").encode, "a", "rot13")), "latin1"),
    "torch storage": (lambda: zipped(b"\x80\x02U\x01aQ."), "outside the pickle"),
    "legacy with tensors": (lambda: legacy(table(), ["0"]), "holds tensors"),
    "truncated zip": (lambda: pth(table())[:-40], "damaged zip|truncated"),
    "truncated legacy": (lambda: legacy(table())[:-300], "truncated pickle"),
    "truncated pickle in a zip": (lambda: zipped(pickle.dumps(table(), 2)[:-50]), "truncated"),
    "wrong checksum": (lambda: flipped(pth(table())), "damaged zip|corrupt"),
    "zip bomb": (lambda: zipped(bytes(2**26), zipfile.ZIP_DEFLATED), "no stored data.pkl"),
    "zip without a table": (lambda: zipped(b"x", name="a/other"), "no stored data.pkl"),
    "memo bomb": (lambda: zipped(HUGE_MEMO), "memo index"),
    "length bomb": (
        lambda: zipped(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."),
        "truncated",
    ),
    "not a table": (lambda: pth([1, 2, 3]), "not a table"),
    "no arch2infos": (lambda: pth({"meta_archs": []}), "no 'arch2infos'"),
    "no cells": (lambda: pth(table(arch2infos={})), "no cells"),
    "unknown cell": (lambda: pth(with_record(arch_str="|none~0|")), "not a NAS-Bench-201 cell"),
    "cell is a list": (lambda: pth(with_record(arch_str=["x"])), "not a NAS-Bench-201 cell"),
    "list of lists": (lambda: pth(table(meta_archs=[["x"]])), "meta_archs"),
    "index of another cell": (lambda: pth(with_record(arch_index=3)), "record 3"),
    "index is text": (lambda: pth(with_record(arch_index="0")), "record '0'"),
    "twice the same cell": (
        lambda: pth(table(arch2infos={0: {"a": record(), "b": record()}})),
        "appears twice",
    ),
    "no results": (lambda: pth(with_record(all_results={})), "no results"),
    "unknown data set": (
        lambda: pth(with_record(all_results={("mnist", 1): trial()})),
        "'mnist'",
    ),
    "seed out of range": (
        lambda: pth(with_record(all_results={("cifar10", 2**40): trial()})),
        "not a seed",
    ),
    "other length": (lambda: pth(with_trial(epochs=13)), "13|not a training"),
    "curves are no mapping": (lambda: pth(with_trial(eval_acc1es=[1.0])), "eval_acc1es"),
    "accuracy NaN": (lambda: pth(changed_curve("eval_acc1es", "x-valid@11", NAN)), "is nan"),
    "accuracy above 100": (
        lambda: pth(changed_curve("eval_acc1es", "x-valid@3", 100.1)),
        "100.1, allowed: 0..100",
    ),
    "accuracy negative": (lambda: pth(changed_curve("train_acc1es", 0, -1.0)), "-1.0"),
    "accuracy is text": (lambda: pth(changed_curve("train_acc1es", 0, "99")), "'99'"),
    "loss negative": (lambda: pth(changed_curve("train_losses", 1, -1.0)), "loss on train is -1"),
    "accuracy infinite": (lambda: pth(changed_curve("train_acc1es", 1, INF)), "train is inf"),
    "time negative": (
        lambda: pth(changed_curve("train_times", 1, -5.0)),
        "train_epoch is -5.0",
    ),
}

CSV_HEADER = "arch,acc"
COLUMNS = {"arch": "arch", "cifar10/valid@200": "acc"}


def rows(*lines: str) -> bytes:
    return "\n".join((CSV_HEADER, *lines, "")).encode()


def first(index: int = 0) -> str:
    return load_table("bundled").arch(index)


CSV_FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "no column": ("a.csv", lambda: b"arch,other\n", "no column 'acc'"),
    "no rows": ("a.csv", lambda: rows(), "no rows"),
    "short row": ("a.csv", lambda: rows(first()), "line 2 has 1 fields"),
    "twice": ("a.csv", lambda: rows(f"{first()},1", f"{first()},2"), "more than once"),
    "unknown cell": ("a.csv", lambda: rows("|none~0|,1"), "row 1"),
    "unknown operation": ("a.csv", lambda: rows(first().replace("avg_pool_3x3", "x") + ",1"), "'x"),
    "NaN": ("a.csv", lambda: rows(f"{first()},nan"), "'nan' in column 'acc'"),
    "infinite": ("a.csv", lambda: rows(f"{first()},1e999"), "1e999"),
    "above 100": ("a.csv", lambda: rows(f"{first()},100.5"), "100.5, allowed: 0..100"),
    "empty value": ("a.csv", lambda: rows(f"{first()},"), "no value in column 'acc'"),
    "text": ("a.csv", lambda: rows(f"{first()},good"), "'good'"),
    "same header twice": ("a.csv", lambda: b"arch,acc,acc\n", "stands twice"),
    "not UTF-8": ("a.csv", lambda: b"arch,acc\n\xff\xfe,1\n", "not a table with a header"),
    "truncated gzip": ("a.csv.gz", lambda: gzip.compress(rows(f"{first()},1"))[:-9], "damaged"),
    "gzip bomb": ("a.csv.gz", lambda: gzip.compress(bytes(8 << 20), 1), "line 1 has more than"),
    "gzip of commas": ("a.csv.gz", lambda: gzip.compress(b"," * (8 << 20)), "line 1 has more than"),
    "long field": ("a.csv", lambda: rows(f"{'x' * 1001},1"), "a field of more than 1000"),
    "empty rows": ("a.csv.gz", lambda: gzip.compress(rows(*[""] * 99)), "line 2 has 0 fields"),
    "control characters": (
        "a.csv",
        lambda: b"\x1b]0;owned\x07,b\n1,2\n",
        r"has: \\x1b\]0;owned\\x07, b",
    ),
    "broken parquet": ("a.parquet", lambda: b"PAR1" + bytes(50) + b"PAR1", "parquet"),
    "binary": ("a.csv", lambda: bytes(range(256)), "no known table"),
    "empty": ("a.csv", lambda: b"", "no known table"),
}

NATS_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "call": (lambda: bz2.compress(pickle.dumps(Call(os.getcwd))), "posix.getcwd"),
    "bz2 bomb": (lambda: bz2.compress(bytes(40 << 20)), "unpacks to more than 16 MiB"),
    "truncated": (lambda: bz2.compress(pickle.dumps({"12": record()}))[:-30], "damaged"),
    "not a record": (lambda: bz2.compress(pickle.dumps([])), "not a NATS-Bench cell"),
    "another cell": (lambda: bz2.compress(pickle.dumps({"12": record(5)})), "it holds cell 5"),
    "another length": (lambda: bz2.compress(pickle.dumps({"200": record()})), "12 epochs where"),
    "short number": (lambda: bz2.compress(SHORT_NUMBER), "corrupt pickle .error: unpack"),
    "latency is no list": (
        lambda: bz2.compress(pickle.dumps({"12": with_latency(5)})),
        "latency is 5, expected a list",
    ),
    "latency of 400 digits": (
        lambda: bz2.compress(pickle.dumps({"12": with_latency([10**400])})),
        "latency is a number of 1329 bits",
    ),
    "index of 5,000 digits": (
        lambda: bz2.compress(pickle.dumps({"12": record(arch_index=10**5000)})),
        "holds cell a number of 16610 bits",
    ),
    "length of 5,000 digits": (
        lambda: bz2.compress(pickle.dumps({"1" * 5000: record()})),
        "not a training length",
    ),
    "no length": (lambda: bz2.compress(pickle.dumps({"x": record()})), "not a training length"),
}


def with_latency(value: object) -> dict[str, Any]:
    return record(all_results={("cifar10-valid", 777): trial(latency=value)})


def long_named(archive: bytes) -> bytes:
    """The zip file with a first member whose own header claims a name of 4,000 bytes."""
    return archive[:26] + (4000).to_bytes(2, "little") + archive[28:]


def test_a_name_that_a_zip_file_claims_is_not_told_at_length(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(long_named(zipped(b"x" * 5000)))
    with pytest.raises(WiringError, match="bad.pth: damaged zip file .File name in") as error:
        import_table(path, "hostile", partial=True, make_default=False)
    assert len(str(error.value)) < 600 and str(error.value).isprintable()


def state_of_tables() -> list[tuple[str, int]]:
    """All files but locks, which stay."""
    found = (cache_dir() / "tables").rglob("*")
    return sorted((p.name, p.stat().st_size) for p in found if p.suffix != ".lock")


def refuse(path: Path, expected: str, **options: Any) -> None:
    load_table("bundled")
    before, names = state_of_tables(), table_names()
    with pytest.raises(WiringError, match=expected) as caught:
        import_table(path, "hostile", partial=True, make_default=False, **options)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    assert state_of_tables() == before and table_names() == names


@pytest.mark.parametrize("name", PTH_FILES)
def test_pth(name: str, tmp_path: Path) -> None:
    make, expected = PTH_FILES[name]
    (tmp_path / "bad.pth").write_bytes(make())
    refuse(tmp_path / "bad.pth", expected)


@pytest.mark.parametrize("name", CSV_FILES)
def test_delimited(name: str, tmp_path: Path) -> None:
    file, make, expected = CSV_FILES[name]
    (tmp_path / file).write_bytes(make())
    refuse(tmp_path / file, expected, columns=COLUMNS)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"arch": None, "cifar10/valid@200": "acc"}, "expected a column name"),
        ({"arch": 5, "cifar10/valid@200": "acc"}, "expected a column name"),
        ({"arch": ["arch", "acc"], "cifar10/valid@200": "acc"}, "expected one column name"),
        ({"arch": "arch", "\x1b" * 10**6: "acc"}, "is unknown"),
        ({"arch": "arch", "cifar10/valid@200": ["acc"] * 101}, "expected a column name"),
    ],
)
def test_column_maps(columns: Any, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(rows(f"{first()},1"))
    with pytest.raises(WiringError, match=expected) as caught:
        import_table(tmp_path / "a.csv", "hostile", columns=columns)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


@pytest.mark.parametrize("name", NATS_FILES)
def test_nats_folder(name: str, tmp_path: Path) -> None:
    make, expected = NATS_FILES[name]
    (tmp_path / "000000.pickle.pbz2").write_bytes(make())
    refuse(tmp_path, expected)


def test_nats_file_that_unpacks_without_end(tmp_path: Path) -> None:
    (tmp_path / "all.pickle.pbz2").write_bytes(bz2.compress(bytes(20 << 20)))
    refuse(tmp_path / "all.pickle.pbz2", "40 times its size")


def test_folder_without_cells(tmp_path: Path) -> None:
    refuse(tmp_path, "without NATS-Bench cells")


def test_the_honest_versions_of_these_files_are_read(tmp_path: Path) -> None:
    contents = {
        "zip.pth": pth(table()),
        "legacy.pth": legacy(table()),
        "all.pickle.pbz2": bz2.compress(pickle.dumps(table(arch2infos={0: {"12": record()}}), 4)),
    }
    for file, content in contents.items():
        (tmp_path / file).write_bytes(content)
        report = import_table(tmp_path / file, "honest", partial=True, make_default=False)
        assert (report.cells, report.metrics) == (1, ["cifar10/valid@12"])
        assert load_table("honest").values("cifar10", "valid", 12)[0] == 31.0
        assert load_table("honest").curve(0, "cifar10", "valid", 12).tolist()[:2] == [20.0, 21.0]
    assert len(list((cache_dir() / "tables").glob("honest-*"))) == 1


@pytest.mark.parametrize("loss", [NAN, INF])
def test_a_diverged_loss_is_missing_and_no_reason_to_refuse(tmp_path: Path, loss: float) -> None:
    (tmp_path / "a.pth").write_bytes(pth(changed_curve("train_losses", 11, loss)))
    import_table(tmp_path / "a.pth", "diverged", partial=True, make_default=False)
    curve = load_table("diverged").curves.get(0, CurveKey("cifar10-valid", "train", "loss", 12))
    assert np.isnan(curve).tolist() == [False] * 11 + [True]


def test_an_incomplete_table_says_how_many(tmp_path: Path) -> None:
    (tmp_path / "one.pth").write_bytes(pth(table()))
    with pytest.raises(WiringError, match="1 of 15625 cells; 15624 are missing"):
        import_table(tmp_path / "one.pth", "incomplete")


def test_mutations_of_a_record_never_crash(tmp_path: Path) -> None:
    """Random damage ends in a table or in one line, never in anything else."""
    generator = np.random.default_rng(0)
    content = bytearray(pickle.dumps(deepcopy(table()), 2))
    for number in range(60):
        damaged = bytearray(content)
        for position in generator.integers(0, len(content), 1 + number % 4):
            damaged[position] = generator.integers(0, 256)
        path = tmp_path / f"{number}.pth"
        path.write_bytes(zipped(bytes(damaged)))
        try:
            import_table(path, "mutated", partial=True, make_default=False)
        except WiringError as error:
            assert "\n" not in str(error)
