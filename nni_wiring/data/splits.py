"""The split of the images: those for the weights, those for alpha, and those kept from both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nni_wiring.data.images import ImageData
from nni_wiring.errors import DataError

HALF = "half"
FULL_XVALID = "full+xvalid"
FULL_VALID = "full+valid"  # of trainings, never of searches
KINDS = (HALF, FULL_XVALID)


@dataclass(frozen=True)
class Split:
    """Rows of the two parts of a search; no image is in both.

    Attributes:
        kind: ``half``, ``full+xvalid`` or ``full+valid``.
        train_indices: int64, ascending: training images that the weights are trained on.
        search_indices: int64, ascending: images that alpha is trained on and evaluated on; those
            that a fixed cell is evaluated on.
        search_in_test: Whether ``search_indices`` are rows of the test part.
    """

    kind: str
    train_indices: Tensor
    search_indices: Tensor
    search_in_test: bool


def split(data: ImageData, kind: str | None = None, seed: int = 0) -> Split:
    """Divide a data set by a seeded permutation.

    Args:
        data: The data set.
        kind: ``half``: two halves of the training images (AutoDL on CIFAR-10; darts-pt, DrNAS and
            SmoothDARTS everywhere). ``full+xvalid``: all training images, and half of the test
            images (AutoDL on CIFAR-100 and ImageNet16-120). None: the data set's default.
        seed: Of the permutation.

    Raises:
        DataError: Unknown kind, no test part, held-out images that no search may see, or fewer than
            two images to divide.
    """
    kind = kind or data.default_split
    if kind == FULL_VALID:
        raise DataError(
            f"split {kind} is for trainings of a fixed cell; allowed in a search: "
            f"{', '.join(KINDS)}"
        )
    if kind not in KINDS:
        raise DataError(f"unknown split {kind!r}; known: {', '.join(KINDS)}")
    if kind == FULL_XVALID and data.valid_images:
        raise DataError(f"split {kind}: searches see no held-out image of {data.name}; use {HALF}")
    if kind == HALF:
        first, second = _halves(data.name, len(data.images), seed)
        return Split(kind, first, second, search_in_test=False)
    if data.test_images is None:
        raise DataError(f"split {kind} needs a test part, {data.name} has none; allowed: {HALF}")
    xvalid, _ = _halves(data.name, len(data.test_images), seed)
    return Split(kind, torch.arange(len(data.images)), xvalid, search_in_test=True)


def training_split(data: ImageData, kind: str | None = None, seed: int = 0) -> Split:
    """The split that a fixed cell is trained and evaluated on.

    Args:
        data: The data set.
        kind: As of `split`; or ``full+valid``: all training images, and the data's own valid part,
            which is the same for every seed.
        seed: Of the permutation of `split`.

    Raises:
        DataError: As `split`; or the data set has no valid part of its own.
    """
    if kind != FULL_VALID:
        return split(data, kind, seed)
    if not data.valid_images:
        raise DataError(
            f"split {kind} needs a valid part, {data.name} has none; allowed: {', '.join(KINDS)}"
        )
    valid = torch.arange(data.valid_images)
    return Split(kind, torch.arange(len(data.images)), valid, search_in_test=True)


def _halves(name: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    if count < 2:
        raise DataError(f"{name}: {count} image cannot be divided in two halves")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    middle = count // 2
    return order[:middle].sort().values, order[middle:].sort().values
