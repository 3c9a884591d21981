"""The split of the training images: those for the weights and those for alpha."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nni_wiring.data.images import ImageData
from nni_wiring.errors import DataError

HALF = "half"
FULL_XVALID = "full+xvalid"
KINDS = (HALF, FULL_XVALID)


@dataclass(frozen=True)
class Split:
    """Rows of the two parts of a search; no image is in both.

    Attributes:
        kind: ``half`` or ``full+xvalid``.
        train_indices: int64, ascending: training images that the weights are trained on.
        search_indices: int64, ascending: images that alpha is trained on and evaluated on.
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
        DataError: Unknown kind, no test part, or fewer than two images to divide.
    """
    kind = kind or data.default_split
    if kind not in KINDS:
        raise DataError(f"unknown split {kind!r}; known: {', '.join(KINDS)}")
    if kind == HALF:
        first, second = _halves(data.name, len(data.images), seed)
        return Split(kind, first, second, search_in_test=False)
    if data.test_images is None:
        raise DataError(f"split {kind} needs a test part, {data.name} has none; allowed: {HALF}")
    xvalid, _ = _halves(data.name, len(data.test_images), seed)
    return Split(kind, torch.arange(len(data.images)), xvalid, search_in_test=True)


def _halves(name: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    if count < 2:
        raise DataError(f"{name}: {count} image cannot be divided in two halves")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    middle = count // 2
    return order[:middle].sort().values, order[middle:].sort().values
