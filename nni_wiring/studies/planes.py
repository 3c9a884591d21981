"""A loss on a plane of weights through a trained network, and how smooth that surface is.

Directions are filter-normalised (Li et al., NeurIPS 2018, section 4): each filter of a direction
is as long as the network's own, so that planes of networks whose weights differ in scale compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nni_wiring.supernet.restoring import unmoved

Array = NDArray[np.float64]


def filter_weights(network: nn.Module) -> list[Tensor]:
    """The weights of all convolutions and linear layers, in the network's order.

    Batch norm's parameters and biases, which planes leave alone, are not among them.
    """
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return [module.weight for module in network.modules() if isinstance(module, kinds)]


def filter_sizes(weight: Tensor) -> Tensor:
    """The norm of every output filter, or row, of a weight (filters, ...): (filters, 1, ...)."""
    norms = weight.detach().flatten(1).norm(dim=1)
    return norms.reshape(-1, *[1] * (weight.ndim - 1))


def filter_normalised(direction: Tensor, weight: Tensor) -> Tensor:
    """d_f |theta_f| / |d_f| for every filter f; the same for any rescaled direction."""
    return direction * (filter_sizes(weight) / filter_sizes(direction))


def draw_direction(weights: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """A Gaussian direction, filter-normalised; equal draws for equal shapes in an equal order.

    generator: on the CPU, whatever device the weights are on.
    """
    draws = [torch.randn(weight.shape, generator=generator).to(weight) for weight in weights]
    return [filter_normalised(d, w) for d, w in zip(draws, weights, strict=True)]


class Plane(NamedTuple):
    """Weights theta + a d + b e.

    Attributes:
        weights: theta, moved in place.
        first, second: d and e, of the weights' shapes.
    """

    weights: Sequence[Tensor]
    first: Sequence[Tensor]
    second: Sequence[Tensor]

    def values(self, ticks: Sequence[float], measure: Callable[[], Sequence[float]]) -> Array:
        """The values of ``measure`` at every (a, b) of ``ticks`` x ``ticks``: (a, b, values).

        The weights come back bit for bit, however it ends.
        """
        start = [weight.detach().clone() for weight in self.weights]
        found = []
        with unmoved(self.weights):
            for a in ticks:
                for b in ticks:
                    self._move(start, a, b)
                    found.append([float(value) for value in measure()])
        return np.array(found).reshape(len(ticks), len(ticks), -1)

    def _move(self, start: Sequence[Tensor], a: float, b: float) -> None:
        with torch.no_grad():
            for weight, *parts in zip(self.weights, start, self.first, self.second, strict=True):
                theta, d, e = parts
                weight.copy_(theta + a * d + b * e)


def drawn_plane(weights: Sequence[Tensor], seed: int) -> Plane:
    """Two independent directions, not made orthogonal."""
    generator = torch.Generator().manual_seed(seed)
    first = draw_direction(weights, generator)
    return Plane(weights, first, draw_direction(weights, generator))


class Shape(NamedTuple):
    """The shape of a surface.

    Attributes:
        roughness: R1: mean |second difference| along both axes, over h^2 and the surface's range.
        convex: share of inner grid points with a positive definite discrete Hessian.
    """

    roughness: float
    convex: float


def surface_shape(surface: Array, step: float) -> Shape:
    """Of values (a, b) on a grid of spacing ``step``, at least 3 x 3; exact for a quadratic.

    A constant surface has a roughness of 0, one that is not finite somewhere NaN.
    """
    if not np.isfinite(surface).all():
        return Shape(math.nan, math.nan)
    along_a = np.diff(surface, 2, axis=0) / step**2
    along_b = np.diff(surface, 2, axis=1) / step**2
    extent = float(np.ptp(surface))
    size = float(np.abs(np.concatenate([along_a.ravel(), along_b.ravel()])).mean())
    inner_a, inner_b = along_a[:, 1:-1], along_b[1:-1, :]
    corners = surface[2:, 2:] - surface[2:, :-2] - surface[:-2, 2:] + surface[:-2, :-2]
    mixed = corners / (4 * step**2)
    positive = (inner_a > 0) & (inner_a * inner_b - mixed**2 > 0)
    return Shape(size / extent if extent else 0.0, float(positive.mean()))
