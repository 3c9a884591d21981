"""Parameters and FLOPs of a NAS-Bench-201 network (C=16, N=5) in closed form.

The stored figures vary by seed for some cells, so they are computed. Only the convolutions of
the cell differ between cells; the rest is a constant of the data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.errors import BenchmarkError
from search_spaces.cell_codes import NASBENCH201
from search_spaces.errors import SpaceError

_CONV1, _CONV3 = NASBENCH201.indices(("nor_conv_1x1", "nor_conv_3x3"))
# Number of classes, pixels a side.
_IMAGES = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16": (120, 16)}
_CHANNELS = (16, 32, 64)
_CELLS_A_STAGE = 5


def parameters(ops: ArrayLike, dataset: str) -> NDArray[np.int64]:
    """Trainable parameters of each cell's network.

    Args:
        ops: (..., 6) operation indices in edge order.
        dataset: it sets the number of classes.

    Returns:
        (...) int64. For CIFAR-10: 73,306 + 243,040 n3 + 28,000 n1, with n3 and n1 the numbers of
        3x3 and 1x1 convolutions in the cell.
    """
    classes, _ = _images(dataset)
    n1, n3 = _convolutions(ops)
    weights = _CELLS_A_STAGE * sum(c * c for c in _CHANNELS)
    batch_norm = _CELLS_A_STAGE * sum(2 * c for c in _CHANNELS)
    stem = 3 * 16 * 9 + 2 * 16
    reductions = sum(_reduction_weights(c) + 4 * c for c in _CHANNELS[1:])
    last = 2 * _CHANNELS[-1]  # the batch norm in front of the classifier
    constant = stem + reductions + last + (_CHANNELS[-1] + 1) * classes
    return constant + (9 * weights + batch_norm) * n3 + (weights + batch_norm) * n1


def flops(ops: ArrayLike, dataset: str) -> NDArray[np.int64]:
    """Multiply-adds of one image through each cell's network, as NAS-Bench-201 counts them.

    Convolutions and the classifier (with its bias) count; batch norm, ReLU and pooling do not.

    Args:
        ops: (..., 6) operation indices in edge order.
        dataset: it sets image size and number of classes.

    Returns:
        (...) int64. For CIFAR-10: 7,783,050 + 35,389,440 n3 + 3,932,160 n1.
    """
    classes, side = _images(dataset)
    n1, n3 = _convolutions(ops)
    pixels = side**2
    # Channels double where the area falls to a quarter, so each stage costs the same.
    one = _CELLS_A_STAGE * len(_CHANNELS) * _CHANNELS[0] ** 2 * pixels
    stem = 3 * 16 * 9 * pixels
    reductions = sum(_reduction_weights(c) * pixels * 16**2 // c**2 for c in _CHANNELS[1:])
    classifier = (_CHANNELS[-1] + 1) * classes
    return stem + reductions + classifier + 9 * one * n3 + one * n1


def _images(dataset: str) -> tuple[int, int]:
    if dataset not in _IMAGES:
        raise BenchmarkError(f"unknown data set {dataset!r}; allowed: {', '.join(_IMAGES)}")
    return _IMAGES[dataset]


def _reduction_weights(channels: int) -> int:
    """Weights of the residual block that doubles up to ``channels``: two 3x3 and a 1x1 shortcut."""
    before = channels // 2
    return 9 * before * channels + 9 * channels * channels + before * channels


def _convolutions(ops: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    array = np.asarray(ops)
    if array.ndim == 0 or array.shape[-1] != 6:
        raise SpaceError(f"cells must have 6 operations, got an array of shape {array.shape}")
    return (array == _CONV1).sum(axis=-1), (array == _CONV3).sum(axis=-1)
