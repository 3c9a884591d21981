"""A data set: horizontal against vertical stripes."""

from pathlib import Path

import numpy as np

from nni_wiring.data.images import ImageData, Labelled, image_data
from nni_wiring.data.registry import DataSource

STRIPES = DataSource(
    name="tiny_stripes",
    summary="horizontal against vertical stripes, 3x8x8",
    truth_dataset="cifar10",
    default_split="half",
    flip=True,
    files="none",
    loader="tiny_plugin.data:load",
    note="searched on stripes",
)


def load(source: DataSource, name: str, root: Path, download: bool) -> ImageData:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 64)
    rows = random.integers(0, 256, (64, 8, 1)).repeat(8, axis=2)
    images = np.where(labels[:, None, None] == 0, rows, rows.transpose(0, 2, 1))
    pixels = images[..., None].repeat(3, axis=3).astype(np.uint8)
    return image_data(source, name, Labelled(pixels, labels), None, num_classes=2)
