"""A data set in memory, and the checks that every loader shares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nni_wiring.data.source import DataSource
from nni_wiring.errors import DataError

CHANNELS = 3
MIN_SIDE = 8  # pixels; the networks halve the sides twice
MAX_CLASSES = 10_000
MAX_BYTES = 2 * 1024**3  # of uncompressed pixels: everything is held in memory, on the device


class Labelled(NamedTuple):
    """Images (n, height, width, 3) uint8 and their labels (n,) of an integer type."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ImageData:
    """A data set of labelled images, not yet split or normalised.

    Attributes:
        name: As the user wrote it.
        images: Training images, uint8 (n, 3, height, width).
        labels: int64 (n,), 0 .. num_classes - 1.
        test_images: The test part, or None if the data set has none.
        test_labels: Labels of the test part, or None.
        num_classes: Number of classes.
        mean: Per channel, of pixels scaled to 0 .. 1.
        std: Per channel, of pixels scaled to 0 .. 1.
        truth_dataset: The NAS-Bench-201 data set whose accuracies are shown beside a search.
        default_split: ``half`` or ``full+xvalid``.
        flip: Whether a mirrored image keeps its class.
        note: What has to be said beside results on this data set; empty if nothing.
        valid_images: How many of the test images, the first, are a valid part of their own, by
            which trained cells are told apart; searches see no test image of such a data set.
    """

    name: str
    images: Tensor
    labels: Tensor
    test_images: Tensor | None
    test_labels: Tensor | None
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    truth_dataset: str
    default_split: str
    flip: bool
    note: str = ""
    valid_images: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def padding(self) -> int:
        """Zero pixels on each side before a random crop: 4 at 32 pixels, 2 at 16 (AutoDL)."""
        return min(self.image_shape[1:]) // 8

    def resized(self, side: int) -> ImageData:
        """The same images, averaged over square blocks and rounded (a half to the even number) to
        ``side`` pixels a side; mean and std are those of the new training images.

        Raises:
            DataError: the images are not square, or their side is no multiple of ``side``.
        """
        _, height, width = self.image_shape
        if height != width or height % side:
            allowed = [s for s in range(MIN_SIDE, height + 1) if height == width and not height % s]
            raise DataError(
                f"resize={side}: {self.name} has images of {height} x {width} pixels; allowed: "
                f"{', '.join(map(str, allowed)) or 'none, they are not square'}"
            )
        if height == side:
            return self
        images, factor = block_means(self.images, height // side), height // side
        test = None if self.test_images is None else block_means(self.test_images, factor)
        mean, std = channel_statistics(images.permute(0, 2, 3, 1).numpy())
        return replace(self, images=images, test_images=test, mean=mean, std=std)


def block_means(images: Tensor, factor: int) -> Tensor:
    """uint8 (n, channels, h, w) -> (n, channels, h / factor, w / factor), block means rounded."""
    pool = nn.AvgPool2d(factor)
    parts = images.split(2048)  # in float32 all at once would take gigabytes
    return torch.cat([pool(part.float()).round_().to(torch.uint8) for part in parts])


def image_data(
    source: DataSource,
    name: str,
    train: Labelled,
    test: Labelled | None,
    num_classes: int,
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> ImageData:
    """Check the arrays and put them together with the policy of their source.

    Args:
        source: Gives the truth data set, default split, flip and note.
        name: As the user wrote it; starts every error message.
        train: The training images.
        test: The test images; None if there are none.
        num_classes: Labels must lie in 0 .. num_classes - 1.
        statistics: (mean, std) per channel in 0 .. 1; None computes them from the training images.

    Raises:
        DataError: Wrong dtype, shape, size or labels.
    """
    for part, pixels in (("training", train), ("test", test)):
        if pixels is not None:
            _check(f"{name}: {part}", pixels, num_classes)
    if test is not None and test.images.shape[1:] != train.images.shape[1:]:
        raise DataError(
            f"{name}: test images have shape {test.images.shape[1:]},"
            f" training images {train.images.shape[1:]}; they must be equal"
        )
    mean, std = statistics or channel_statistics(train.images)
    return ImageData(
        name=name,
        images=_channels_first(train.images),
        labels=torch.from_numpy(train.labels.astype(np.int64)),
        test_images=None if test is None else _channels_first(test.images),
        test_labels=None if test is None else torch.from_numpy(test.labels.astype(np.int64)),
        num_classes=num_classes,
        mean=mean,
        std=std,
        truth_dataset=source.truth_dataset,
        default_split=source.default_split,
        flip=source.flip,
        note=source.note,
    )


def _check(what: str, pixels: Labelled, num_classes: int) -> None:
    images, labels = pixels
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != CHANNELS:
        raise DataError(
            f"{what} images are {images.dtype} {images.shape};"
            f" expected uint8 (n, height, width, {CHANNELS})"
        )
    if len(images) == 0 or min(images.shape[1:3]) < MIN_SIDE:
        raise DataError(
            f"{what} images have shape {images.shape};"
            f" expected at least one image of at least {MIN_SIDE}x{MIN_SIDE} pixels"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(images),):
        raise DataError(
            f"{what} labels are {labels.dtype} {labels.shape};"
            f" expected integers ({len(images)},), one for each image"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(f"{what} labels lie in {low} .. {high}; expected 0 .. {num_classes - 1}")


def count_classes(name: str, *labels: np.ndarray) -> int:
    """Number of classes of a data set that does not state it: the largest label + 1.

    Raises:
        DataError: Labels that are not integers, or a label beyond ``MAX_CLASSES``.
    """
    if any(not np.issubdtype(array.dtype, np.integer) for array in labels):
        raise DataError(f"{name}: labels are {labels[0].dtype}; expected integers")
    largest = max((int(array.max()) for array in labels if array.size), default=0)
    if largest >= MAX_CLASSES:
        raise DataError(f"{name}: label {largest}; expected 0 .. {MAX_CLASSES - 1}")
    return largest + 1


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 (n, h, w, 3), scaled to 0 .. 1.

    From a histogram of the 256 values: exact, and without a float copy of the images. The
    deviation of a constant channel is taken as 1/255, so that it can be divided by.
    """
    levels = np.arange(256) / 255
    shares = [np.bincount(images[..., c].reshape(-1), minlength=256) for c in range(CHANNELS)]
    probability = np.stack(shares) / (images.size / CHANNELS)
    mean = probability @ levels
    variance = np.maximum(probability @ levels**2 - mean**2, 0)
    std = np.maximum(np.sqrt(variance), 1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
