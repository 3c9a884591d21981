"""The largest eigenvalue of a loss's Hessian, and the variance of its gradient over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from nni_wiring.studies.planes import filter_sizes

#: Where the largest Ritz value is so exact, relative to the largest magnitude, Lanczos ends.
_TOLERANCE = 1e-5


class Eigenvalue(NamedTuple):
    """value: never above the largest eigenvalue but by rounding; error: an eigenvalue lies within
    it of ``value``.
    """

    value: float
    error: float


def hessian(loss: Tensor, weights: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """Products with the Hessian in the weights.

    Args:
        loss: a scalar with its graph, which stays.
        weights: of any shapes.

    Returns:
        A function of a vector over all entries of the weights, in order.
    """
    gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)

    def product(vector: Tensor) -> Tensor:
        parts = vector.split([weight.numel() for weight in weights])
        outputs = [
            (gradient, part.reshape(gradient.shape))
            for gradient, part in zip(gradients, parts, strict=True)
            if gradient.requires_grad
        ]
        if not outputs:  # a loss that is linear in the weights
            return torch.zeros_like(vector)
        found = torch.autograd.grad(
            [gradient for gradient, _ in outputs],
            weights,
            [part for _, part in outputs],
            retain_graph=True,
            materialize_grads=True,
        )
        return torch.cat([row.flatten() for row in found])

    return product


def normalised_hessian(loss: Tensor, weights: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """Products with D H D: H the Hessian in the weights, D = diag |theta_f|, f an entry's filter.

    D is the change to coordinates in which every filter has length 1: for a function that no
    filter's scale moves, D H D keeps its eigenvalues when a filter is rescaled, H does not.

    Args:
        loss, weights: as for `hessian`; weights: (filters, ...) each.
    """
    product = hessian(loss, weights)
    scale = torch.cat([filter_sizes(weight).expand_as(weight).flatten() for weight in weights])
    return lambda vector: scale * product(scale * vector)


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], start: Tensor, steps: int
) -> Eigenvalue:
    """The algebraically largest eigenvalue of a symmetric matrix by at most ``steps`` products.

    Lanczos with full orthogonalisation. Power iteration with as many products is less exact, and
    finds the eigenvalue of largest magnitude, also where that is negative.

    Args:
        product: with the matrix.
        start: a vector, not 0; its length does not matter.
        steps: at least 1.
    """
    basis = [start / start.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(steps):
        image = product(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        known = torch.stack(basis)
        for _ in range(2):  # once leaves rounding of the order of the orthogonality
            image = image - known.T @ (known @ image)
        beside.append(float(image.norm()))
        found, scale = _top(diagonal, beside)
        if found.error <= _TOLERANCE * scale or len(basis) == len(start):
            break
        basis.append(image / image.norm())
    return found


def _top(diagonal: list[float], beside: list[float]) -> tuple[Eigenvalue, float]:
    """The largest Ritz value, and the largest magnitude of all."""
    values, vectors = eigh_tridiagonal(np.array(diagonal), np.array(beside[:-1]))
    error = abs(beside[-1] * float(vectors[-1, -1]))
    return Eigenvalue(float(values[-1]), error), float(np.abs(values).max())


class GradientNoise(NamedTuple):
    """variance: (1/m) sum_i |g_i - mean|^2; mean_square: |mean|^2, of m gradients."""

    variance: float
    mean_square: float


def gradient_noise(losses: Iterable[Tensor], parameters: Sequence[Tensor]) -> GradientNoise:
    """Of the gradients of several losses, one a batch; sums in float64.

    losses: scalars with their graphs, made one at a time.
    """
    total: Tensor | float = 0.0
    squares, count = 0.0, 0
    for loss in losses:
        found = torch.autograd.grad(loss, parameters, materialize_grads=True)
        gradient = torch.cat([row.flatten() for row in found]).double()
        total, squares, count = total + gradient, squares + float(gradient @ gradient), count + 1
    mean = torch.as_tensor(total) / count
    mean_square = float(mean @ mean)
    return GradientNoise(max(squares / count - mean_square, 0.0), mean_square)
