"""``clutter``: digits among fragments of others, a small task that is not too easy.

Every image is computed from a seed, in integers, by a generator whose stream is frozen, so that it
is the same bytes on every machine; ``CHECKSUM`` says which.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nni_wiring.data.images import CHANNELS, ImageData, Labelled, image_data
from nni_wiring.data.source import DataSource
from nni_wiring.errors import DataError

SIDE = 16  # pixels
TRAIN_IMAGES = 8000
HELD_OUT_IMAGES = 4000
VALID_IMAGES = 2000  # the first of those held out; each is drawn alone, so any half is as good
SEED = 20260
MOST_DEGREES = 20
FRAGMENTS = 2
#: SHA-256 of all pixels and labels, training part first.
CHECKSUM = "297272387028b4107d04a1b80e0c55a847e3e87c7ab3b7c25bb6d290a89f4802"

_DIGIT = 8  # pixels a side of an original
_ONE = 1 << 14  # fixed point of sines and cosines
_NOISE_SUM, _NOISE_SCALE = 12, 5222  # the sum of 12 bytes has sd 256; 5222/2**16 of it is .08 x 255

Integers = NDArray[np.int64]


def load(source: DataSource, name: str, root: Path, download: bool) -> ImageData:
    """Digits 0 .. 9 on 16x16 colour canvases; 8,000 training images, 4,000 held out.

    Training images show one half of scikit-learn's originals, the others the other half. Of the
    latter the first 2,000 are ``valid``, the last 2,000 ``test``, whatever the seed.

    Raises:
        DataError: the images differ from those that the benchmarks on them were built with.
    """
    train, held_out = generate()
    data = image_data(source, name, train, held_out, num_classes=10)
    return replace(data, valid_images=VALID_IMAGES)


@lru_cache(maxsize=1)
def generate() -> tuple[Labelled, Labelled]:
    """Training and held-out images, uint8 (n, 16, 16, 3), with their labels."""
    from sklearn.datasets import load_digits  # a second's import, for this data set only

    grey, labels = load_digits(return_X_y=True)
    originals = np.rint(grey).astype(np.int64).reshape(-1, _DIGIT, _DIGIT)  # 0 .. 16
    labels = labels.astype(np.int64)
    parts = []
    for half, count in ((0, TRAIN_IMAGES), (1, HELD_OUT_IMAGES)):
        random = np.random.RandomState(SEED + half)
        rows = slice(half, None, 2)
        parts.append(_images(originals[rows], labels[rows], count, random))
    digest = hashlib.sha256(b"".join(array.tobytes() for part in parts for array in part))
    if digest.hexdigest() != CHECKSUM:
        raise DataError(
            f"clutter: the images have checksum {digest.hexdigest()[:12]}, expected "
            f"{CHECKSUM[:12]}; scikit-learn's digits or NumPy's generator have changed"
        )
    return parts[0], parts[1]


def _images(
    originals: Integers, labels: Integers, count: int, random: np.random.RandomState
) -> Labelled:
    """``count`` images; every draw is made for all of them at once."""
    chosen = random.randint(0, len(originals), count)
    canvas = np.repeat(random.randint(0, 64, (count, 1, 1, CHANNELS)), SIDE, axis=1)
    canvas = np.repeat(canvas, SIDE, axis=2)
    for _ in range(FRAGMENTS):
        others = originals[random.randint(0, len(originals), count)]
        canvas = _inked(canvas, _fragments(others, random), random)
    canvas = _inked(canvas, _placed(originals[chosen], random), random)
    return Labelled(
        np.clip(canvas + _noise(count, random), 0, 255).astype(np.uint8), labels[chosen]
    )


def _noise(count: int, random: np.random.RandomState) -> Integers:
    """Close to normal, sd .08 of 255: (n, 16, 16, 3)."""
    shape = (_NOISE_SUM, count, SIDE, SIDE, CHANNELS)
    drawn = np.frombuffer(random.bytes(int(np.prod(shape))), np.uint8).reshape(shape)
    total = drawn.sum(axis=0, dtype=np.int64)
    return ((total - _NOISE_SUM * 255 // 2) * _NOISE_SCALE) >> 16


def _inked(canvas: Integers, cover: Integers, random: np.random.RandomState) -> Integers:
    """Paint a bright colour of its own per image where ``cover`` (n, 16, 16), 0 .. 16, says."""
    ink = random.randint(144, 256, (len(canvas), 1, 1, CHANNELS))
    share = cover[..., None]
    return (canvas * (16 - share) + ink * share) // 16


def _placed(digits: Integers, random: np.random.RandomState) -> Integers:
    """Rotated digits at random places: cover (n, 16, 16), 0 .. 16."""
    count = len(digits)
    degrees = random.randint(-MOST_DEGREES, MOST_DEGREES + 1, count)
    left, top = random.randint(0, SIDE - _DIGIT + 1, (2, count))
    table = np.deg2rad(np.arange(-MOST_DEGREES, MOST_DEGREES + 1))
    cosine = np.rint(np.cos(table) * _ONE).astype(np.int64)[degrees + MOST_DEGREES]
    sine = np.rint(np.sin(table) * _ONE).astype(np.int64)[degrees + MOST_DEGREES]
    # twice the distance to the digit's centre, which lies between two pixels
    y = 2 * (np.arange(SIDE)[None, :, None] - top[:, None, None]) - (_DIGIT - 1)
    x = 2 * (np.arange(SIDE)[None, None, :] - left[:, None, None]) - (_DIGIT - 1)
    c, s = cosine[:, None, None], sine[:, None, None]
    return _sampled(digits, c * y - s * x, s * y + c * x)


def _sampled(digits: Integers, y: Integers, x: Integers) -> Integers:
    """Bilinear look-up at twice the fixed-point distance to the centre; 0 outside the digit."""
    unit = 2 * _ONE
    y, x = y + (_DIGIT - 1) * _ONE, x + (_DIGIT - 1) * _ONE
    row, column = y // unit, x // unit
    down, right = y - row * unit, x - column * unit
    padded = np.pad(digits, ((0, 0), (1, 2), (1, 2)))
    image = np.arange(len(digits))[:, None, None]
    total = np.zeros_like(y)
    for step_y, weight_y in ((0, unit - down), (1, down)):
        for step_x, weight_x in ((0, unit - right), (1, right)):
            at_y = np.clip(row + step_y + 1, 0, _DIGIT + 1)
            at_x = np.clip(column + step_x + 1, 0, _DIGIT + 1)
            total += padded[image, at_y, at_x] * weight_y * weight_x
    return (total + unit * unit // 2) // (unit * unit)


def _fragments(digits: Integers, random: np.random.RandomState) -> Integers:
    """A piece of 4 x 4 pixels of each digit at a random place: cover (n, 16, 16)."""
    count, size = len(digits), 4
    from_y, from_x = random.randint(0, _DIGIT - size + 1, (2, count))
    to_y, to_x = random.randint(0, SIDE - size + 1, (2, count))
    cover = np.zeros((count, SIDE, SIDE), dtype=np.int64)
    image = np.arange(count)[:, None, None]
    rows, columns = np.arange(size)[None, :, None], np.arange(size)[None, None, :]
    piece = digits[image, from_y[:, None, None] + rows, from_x[:, None, None] + columns]
    cover[image, to_y[:, None, None] + rows, to_x[:, None, None] + columns] = piece
    return cover
