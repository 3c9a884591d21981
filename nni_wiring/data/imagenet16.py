"""ImageNet16-120 as its authors distribute it: pickled batches of 16x16 images.

Downsampled ImageNet (Chrabaszcz et al., 2017; 16x16), of which NAS-Bench-201 keeps the first 120 of
the 1,000 classes. Each file holds a dict: ``data`` uint8 (n, 3 * 16 * 16), channels first, and
``labels``, 1 .. 1000.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nni_wiring.data.images import ImageData, Labelled, image_data
from nni_wiring.data.source import DataSource
from nni_wiring.errors import DataError
from nni_wiring.files.pickles import load_pickle

FOLDER = "ImageNet16"
TRAIN_FILES = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST_FILES = ("val_data",)
CLASSES = 120
SIDE = 16
# per channel, as AutoDL-Projects normalises ImageNet16
MEAN = (122.68 / 255, 116.66 / 255, 104.01 / 255)
STD = (63.22 / 255, 61.26 / 255, 65.09 / 255)
_ROW = 3 * SIDE * SIDE
# what a pickled array or NumPy number names; NumPy 2 renamed the modules of NumPy 1
_GLOBALS = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
    (f"{package}.{module}", name)
    for package in ("numpy.core", "numpy._core")
    for module, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
}


def load(source: DataSource, name: str, root: Path, download: bool) -> ImageData:
    """Read the files below ``root``; they have to be fetched by hand."""
    folder = root / FOLDER
    missing = [file for file in TRAIN_FILES + TEST_FILES if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"{name}: {missing[0]} is missing; expected {TRAIN_FILES[0]} .. {TRAIN_FILES[-1]} and"
            f" {TEST_FILES[0]} in {folder.absolute()} (downsampled ImageNet, 16x16, from https://image-net.org)"
        )
    train, test = (_read(name, folder, files) for files in (TRAIN_FILES, TEST_FILES))
    return image_data(source, name, train, test, CLASSES, (MEAN, STD))


def _read(name: str, folder: Path, files: tuple[str, ...]) -> Labelled:
    parts = [_read_batch(name, folder / file) for file in files]
    return Labelled(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _read_batch(name: str, path: Path) -> Labelled:
    """One file, without the images of the classes that are not kept."""
    batch = load_pickle(path, _GLOBALS, encoding="latin1")
    if not isinstance(batch, dict) or not {"data", "labels"} <= set(batch):
        raise DataError(f"{name}: {path} holds no dict with data and labels")
    pixels, labels = batch["data"], _labels(name, path, batch["labels"])
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise DataError(f"{name}: data in {path} is no uint8 array")
    if pixels.shape != (len(labels), _ROW):
        raise DataError(
            f"{name}: data in {path} has shape {pixels.shape}; expected ({len(labels)}, {_ROW})"
        )
    kept = labels <= CLASSES
    images = pixels[kept].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Labelled(images, labels[kept] - 1)


def _labels(name: str, path: Path, labels: object) -> np.ndarray:
    try:
        array = np.asarray(labels)
    except ValueError:  # lists of different lengths
        array = np.empty(0)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{name}: labels in {path} are no list of integers")
    return array.astype(np.int64)
