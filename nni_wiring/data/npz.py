"""Data sets that a user brings as one .npz file, in either of two layouts.

Arrays: ``train_x``, ``train_y`` and, optionally, ``test_x``, ``test_y``: uint8 (n, h, w, 3) images
and integer labels (n,).

JPEG: ``jpeg`` uint8 (bytes of all files, one after the other), ``offsets`` integers (n + 1,),
``labels`` integers (n,), ``n_train`` a number: image i is ``jpeg[offsets[i]:offsets[i + 1]]``, the
first ``n_train`` images are the training part. All images have one size.

Either layout may hold ``flip`` (0 or 1): whether a mirrored image keeps its class (default 1).
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from nni_wiring.data.images import MAX_BYTES, ImageData, Labelled, count_classes, image_data
from nni_wiring.data.jpeg import decode
from nni_wiring.data.source import DataSource
from nni_wiring.errors import DataError
from nni_wiring.files.messages import told

TRAIN = ("train_x", "train_y")
TEST = ("test_x", "test_y")
JPEG = ("jpeg", "offsets", "labels", "n_train")
FLIP = "flip"
_TRUTH_BY_CLASSES = {100: "cifar100", 120: "imagenet16"}  # any other number: cifar10
_JPEG_NOTE = "searched on a lossy JPEG copy of the images"
_UNREADABLE = (
    ValueError,  # among them: an array of objects, which would need unpickling
    OSError,
    EOFError,
    MemoryError,  # a header that claims more than there is
    RuntimeError,  # encrypted, or an unknown compression
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)


def load(source: DataSource, name: str, root: Path, download: bool) -> ImageData:
    """Read ``npz:PATH``; the truth beside it is the NAS-Bench-201 data set of as many classes."""
    arrays = _read_arrays(name, Path(name.partition(":")[2]).expanduser())
    if set(TRAIN) <= set(arrays):
        train = Labelled(*(arrays[key] for key in TRAIN))
        has_test = any(key in arrays for key in TEST)
        test = Labelled(*(_member(name, arrays, key) for key in TEST)) if has_test else None
    elif set(JPEG) <= set(arrays):
        train, test = _decode_parts(name, arrays)
        source = replace(source, note=_JPEG_NOTE)
    else:
        raise DataError(
            f"{name}: holds {', '.join(sorted(arrays)) or 'no known array'}; expected"
            f" {', '.join(TRAIN)} (and {', '.join(TEST)}), or {', '.join(JPEG)}"
        )
    classes = count_classes(name, train.labels, *([] if test is None else [test.labels]))
    truth = _TRUTH_BY_CLASSES.get(classes, source.truth_dataset)
    flip = bool(_number(name, arrays, FLIP, 0, 1)) if FLIP in arrays else source.flip
    source = replace(source, truth_dataset=truth, flip=flip)
    return image_data(source, name, train, test, classes)


def _read_arrays(name: str, path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"{name}: no such file (expected at {path.absolute()})")
    known = {*TRAIN, *TEST, *JPEG, FLIP}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
            # the sizes that the archive states are also what at most will be read
            size = sum(member.file_size for key, member in members.items() if key in known)
            if size > MAX_BYTES:
                raise DataError(f"{name}: {size} bytes of arrays; at most {MAX_BYTES} are read")
            return {key: _array(archive, member) for key, member in members.items() if key in known}
    except _UNREADABLE as error:
        raise DataError(f"{name}: not a readable .npz file ({told(error)})") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _member(name: str, arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    if key not in arrays:
        raise DataError(f"{name}: {key} is missing")
    return arrays[key]


def _number(name: str, arrays: dict[str, np.ndarray], key: str, low: int, high: int) -> int:
    array = arrays[key]
    if array.size != 1 or array.dtype.kind not in "iub" or not low <= int(array.item()) <= high:
        raise DataError(f"{name}: {key} is {array.dtype} {array.shape}; expected {low} .. {high}")
    return int(array.item())


def _decode_parts(name: str, arrays: dict[str, np.ndarray]) -> tuple[Labelled, Labelled | None]:
    labels = arrays["labels"]
    images = decode(name, arrays["jpeg"], arrays["offsets"])
    if labels.shape != (len(images),):
        raise DataError(f"{name}: labels have shape {labels.shape}; expected ({len(images)},)")
    count = _number(name, arrays, "n_train", 1, len(images))
    train = Labelled(images[:count], labels[:count])
    test = Labelled(images[count:], labels[count:]) if count < len(images) else None
    return train, test
