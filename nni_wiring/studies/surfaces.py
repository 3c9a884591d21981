"""The measures of a landscape around one network: surface, curvature and gradient noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from nni_wiring.studies.curvature import (
    Eigenvalue,
    GradientNoise,
    gradient_noise,
    largest_eigenvalue,
    normalised_hessian,
)
from nni_wiring.studies.frame import Row
from nni_wiring.studies.planes import Array, Plane, drawn_plane, filter_weights, surface_shape
from nni_wiring.studies.standing import Standing


class Grid(NamedTuple):
    """The sizes of a measurement.

    Attributes:
        points: of the surface along each axis, odd, at least 3; over [-1, 1].
        gradient_points: of the grid on which gradients are taken, odd.
        products: Hessian-vector products.
    """

    points: int
    gradient_points: int
    products: int


def ticks(points: int) -> list[float]:
    """So many places on [-1, 1], 0 among them and exact."""
    half = points // 2
    return [(place - half) / half if half else 0.0 for place in range(points)]


def measure_landscape(standing: Standing, grid: Grid, seed: int) -> Row:
    """Surface, curvature and gradient noise; the network comes back bit for bit.

    seed: of the plane's directions and of the first vector of Lanczos' method.
    """
    with standing.measured():
        weights = filter_weights(standing.network)
        plane = drawn_plane(weights, seed)
        surface = loss_surface(standing, plane, grid.points)
        curvature = sharpness(standing, grid.products, seed)
        noise = noise_surface(standing, plane, grid.gradient_points)
    shape = surface_shape(surface, 2 / (grid.points - 1))
    with np.errstate(divide="ignore"):
        relative = np.log(noise[..., 0]) - np.log(noise[..., 1])
    count = sum(parameter.numel() for parameter in standing.parameters)
    return {
        "surface": surface.tolist(),
        "loss": float(surface[grid.points // 2, grid.points // 2]),
        "roughness": shape.roughness,
        "convex": shape.convex,
        "curvature": curvature.value,
        "curvature_error": curvature.error,
        "noise": math.log(noise[..., 0].mean() / count) if noise[..., 0].any() else math.nan,
        "relative_noise": float(relative.mean()),
    }


def loss_surface(standing: Standing, plane: Plane, points: int) -> Array:
    """The loss on all images at every point of a plane: (points, points)."""
    images = standing.images
    return plane.values(ticks(points), lambda: [float(standing.loss(images))])[..., 0]


def sharpness(standing: Standing, products: int, seed: int) -> Eigenvalue:
    """The Hessian's largest eigenvalue on all images, in filter-normalised coordinates."""
    weights = filter_weights(standing.network)
    size = sum(weight.numel() for weight in weights)
    start = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(weights[0])
    with torch.enable_grad():
        product = normalised_hessian(standing.loss(standing.images), weights)
        return largest_eigenvalue(product, start, products)


def noise_surface(standing: Standing, plane: Plane, points: int) -> Array:
    """Variance of the gradient over the batches, and its mean's square: (points, points, 2)."""

    def measure() -> GradientNoise:
        with torch.enable_grad():
            losses = (standing.loss(batch) for batch in standing.batches)
            return gradient_noise(losses, standing.parameters)

    return plane.values(ticks(points), measure)
