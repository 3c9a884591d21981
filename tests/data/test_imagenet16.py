"""Files in the authors' layout, as Python 2, NumPy 1 and NumPy 2 write them."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_wiring.data import load_data, split
from nni_wiring.errors import DataError, UnsafePickleError

Dump = Callable[[np.ndarray, list[int]], bytes]
FILES = [f"train_data_batch_{i}" for i in range(1, 11)] + ["val_data"]
PER_FILE = 5


def _numpy2(protocol: int) -> Dump:
    return lambda data, labels: pickle.dumps({"data": data, "labels": labels}, protocol)


def _numpy1(data: np.ndarray, labels: list[int]) -> bytes:
    raw = pickle.dumps({"data": data, "labels": labels}, 2)
    raw = raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in raw
    return raw


def _numpy_labels(data: np.ndarray, labels: list[int]) -> bytes:
    return pickle.dumps({"data": data, "labels": np.array(labels), "mean": data.mean(0)}, 4)


def _python2(data: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes of Python 2's cPickle with NumPy 1: the pixels are a byte string."""
    rows, columns = data.shape
    pixels = data.tobytes()
    dtype = (
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        + (b"(K\x01M" + struct.pack("<H", rows) + b"M" + struct.pack("<H", columns) + b"\x86")
        + (dtype + b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"tb")
    )
    numbers = b"](" + b"".join(b"M" + struct.pack("<H", label) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + numbers + b"u."


def _write(root: Path, dump: Dump) -> tuple[np.ndarray, np.ndarray]:
    """Write all files; returns all pixels (55, 768) and labels 1 .. 1000 in file order."""
    rng = np.random.default_rng(5)
    folder = root / "ImageNet16"
    folder.mkdir()
    pixels = rng.integers(0, 256, (len(FILES), PER_FILE, 768), dtype=np.uint8)
    labels = rng.integers(1, 240, (len(FILES), PER_FILE))
    labels[:, 0], labels[:, 1], labels[:, 2] = 120, 121, 1
    for file, data, own in zip(FILES, pixels, labels, strict=True):
        (folder / file).write_bytes(dump(data, own.tolist()))
    return pixels.reshape(-1, 768), labels.reshape(-1)


@pytest.mark.parametrize(
    "dump",
    [_numpy2(2), _numpy2(4), _numpy2(5), _numpy1, _numpy_labels, _python2],
    ids=["protocol2", "protocol4", "protocol5", "numpy1", "numpy-labels", "python2"],
)
def test_keeps_the_first_120_classes(dump: Dump, tmp_path: Path) -> None:
    pixels, labels = _write(tmp_path, dump)
    data = load_data("imagenet16-120", tmp_path)
    assert data.test_images is not None and data.test_labels is not None
    kept = [row for row in range(50) if labels[row] <= 120]
    expected = np.stack([pixels[row].reshape(3, 16, 16) for row in kept])
    assert (data.images.numpy() == expected).all()
    assert data.labels.tolist() == [int(labels[row]) - 1 for row in kept]
    assert data.test_labels.tolist() == [int(x) - 1 for x in labels[50:] if x <= 120]
    assert (data.num_classes, data.padding, data.truth_dataset) == (120, 2, "imagenet16")
    assert split(data).search_in_test


def test_missing_file_says_where_it_is_expected(tmp_path: Path) -> None:
    _write(tmp_path, _numpy2(4))
    (tmp_path / "ImageNet16" / "train_data_batch_7").unlink()
    with pytest.raises(DataError, match="train_data_batch_7 is missing") as caught:
        load_data("imagenet16-120", tmp_path)
    assert str(tmp_path / "ImageNet16") in str(caught.value)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch owned",))


def test_hostile_pickle_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, _numpy2(4))
    (tmp_path / "ImageNet16" / "val_data").write_bytes(pickle.dumps({"data": _Hostile()}))
    with pytest.raises(UnsafePickleError, match=r"(posix|nt)\.system"):
        load_data("imagenet16-120", tmp_path)
    assert not (tmp_path / "owned").exists()


def test_truncated_file(tmp_path: Path) -> None:
    _write(tmp_path, _numpy2(4))
    target = tmp_path / "ImageNet16" / "train_data_batch_2"
    target.write_bytes(target.read_bytes()[:-900])
    with pytest.raises(UnsafePickleError, match="train_data_batch_2.*truncated"):
        load_data("imagenet16-120", tmp_path)


PIXELS = np.zeros((2, 768), np.uint8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "no dict with data and labels"),
        ({"data": PIXELS}, "no dict with data and labels"),
        ({"data": PIXELS.astype(float), "labels": [1, 2]}, "no uint8 array"),
        ({"data": [[0] * 768], "labels": [1]}, "no uint8 array"),
        ({"data": PIXELS[:, :-1], "labels": [1, 2]}, r"\(2, 767\); expected \(2, 768\)"),
        ({"data": PIXELS, "labels": [1, 2, 3]}, r"\(2, 768\); expected \(3, 768\)"),
        ({"data": PIXELS, "labels": [1.5, 2.0]}, "no list of integers"),
        ({"data": PIXELS, "labels": [1, [2]]}, "no list of integers"),
        ({"data": PIXELS, "labels": [0, 2]}, r"labels lie in -1 \.\. .*; expected 0 \.\. 119"),
    ],
)
def test_wrong_content(batch: object, message: str, tmp_path: Path) -> None:
    _write(tmp_path, _numpy2(4))
    (tmp_path / "ImageNet16" / "train_data_batch_1").write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match=message) as caught:
        load_data("imagenet16-120", tmp_path)
    assert "\n" not in str(caught.value)
