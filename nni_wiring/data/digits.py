"""The embedded default: scikit-learn's digits, so that a first search needs no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nni_wiring.data.images import CHANNELS, ImageData, Labelled, image_data
from nni_wiring.data.source import DataSource

TRAIN_IMAGES = 1500  # of 1,797; the rest, written by other people, is the test part
ENLARGE = 2


def load(source: DataSource, name: str, root: Path, download: bool) -> ImageData:
    """Digits 0 .. 9: 8x8 grey levels 0 .. 16, each pixel repeated to 16x16, on three channels."""
    from sklearn.datasets import load_digits  # a second's import, for this data set only

    grey, labels = load_digits(return_X_y=True)
    grey = np.rint(grey.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    enlarged = grey.repeat(ENLARGE, axis=1).repeat(ENLARGE, axis=2)
    images = np.repeat(enlarged[..., None], CHANNELS, axis=3)
    train = Labelled(images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES])
    test = Labelled(images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:])
    return image_data(source, name, train, test, num_classes=10)
