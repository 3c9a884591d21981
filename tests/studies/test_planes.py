"""Planes, curvature and gradient noise against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nni_wiring.studies.curvature import gradient_noise, largest_eigenvalue, normalised_hessian
from nni_wiring.studies.planes import (
    Plane,
    draw_direction,
    drawn_plane,
    filter_normalised,
    filter_sizes,
    filter_weights,
    surface_shape,
)

TICKS = [(k - 5) / 5 for k in range(11)]


def quadratic(seed: int, filters: int = 3, width: int = 4) -> tuple[Tensor, Tensor]:
    """(A, theta) of 1/2 theta' A theta; A symmetric, of both signs; theta (filters, width)."""
    g = torch.Generator().manual_seed(seed)
    size = filters * width
    a = torch.randn(size, size, generator=g, dtype=torch.float64)
    theta = torch.randn(filters, width, generator=g, dtype=torch.float64)
    return a + a.T, theta


def value(a: Tensor, theta: Tensor) -> Tensor:
    return 0.5 * theta.flatten() @ a @ theta.flatten()


def test_the_plane_of_a_quadratic_is_the_quadratic() -> None:
    shares = []
    for seed in range(20):
        a, theta = quadratic(seed)
        weight = theta.clone()
        plane = drawn_plane([weight], seed)
        surface = plane.values(TICKS, lambda a=a, w=weight: [float(value(a, w))])[..., 0]
        directions = np.stack([plane.first[0].flatten(), plane.second[0].flatten()])
        projected = directions @ a.numpy() @ directions.T
        slope = directions @ a.numpy() @ theta.numpy().ravel()
        x = np.stack(np.meshgrid(TICKS, TICKS, indexing="ij"), axis=-1)
        expected = float(value(a, theta)) + x @ slope
        expected = expected + 0.5 * np.einsum("abi,ij,abj->ab", x, projected, x)
        np.testing.assert_allclose(surface, expected, rtol=1e-12, atol=1e-10)
        shape = surface_shape(surface, 0.2)
        size = np.abs(np.diag(projected)).mean() / np.ptp(expected)
        assert shape.roughness == pytest.approx(size, rel=1e-9)
        definite = np.linalg.eigvalsh(projected).min() > 0
        assert shape.convex == float(definite)
        shares.append(definite)
    assert {True, False} == set(shares)


def test_a_flat_surface_and_one_with_a_hole() -> None:
    assert surface_shape(np.ones((5, 5)), 0.5) == (0.0, 0.0)
    broken = np.ones((5, 5))
    broken[1, 2] = np.inf
    assert np.isnan(surface_shape(broken, 0.5)).all()


@pytest.mark.parametrize("shape", [(5, 3, 3, 3), (7, 4), (6, 1, 5, 5)])
def test_every_filter_of_a_direction_is_as_long_as_the_networks(shape: tuple[int, ...]) -> None:
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=g) * torch.logspace(-3, 3, shape[0]).reshape(
        -1, *[1] * (len(shape) - 1)
    )
    [direction] = draw_direction([weight], g)
    for found, own in zip(direction, weight, strict=True):
        assert float(found.norm()) == pytest.approx(float(own.norm()), rel=1e-6)
    scales = torch.rand(shape[0], generator=g) + 0.1
    rescaled = direction * scales.reshape(-1, *[1] * (len(shape) - 1))
    torch.testing.assert_close(filter_normalised(rescaled, weight), direction, rtol=1e-6, atol=0)
    assert filter_sizes(weight).shape == (shape[0], *[1] * (len(shape) - 1))


def conv_net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).double()


def scaled_net() -> nn.Sequential:
    network = conv_net()
    with torch.no_grad():
        network[0].weight.mul_(10)
    return network


def net_loss(network: nn.Module) -> Callable[[], Tensor]:
    g = torch.Generator().manual_seed(1)
    images = torch.randn(24, 3, 8, 8, generator=g, dtype=torch.float64)
    labels = torch.randint(0, 3, (24,), generator=g)
    return lambda: nn.functional.cross_entropy(network(images), labels)


def test_only_convolutions_and_linear_layers_are_moved() -> None:
    network = conv_net()
    found = filter_weights(network)
    assert [id(w) for w in found] == [id(network[k].weight) for k in (0, 3, 8)]


def test_the_normalised_plane_does_not_see_the_scale_of_a_convolution_before_batch_norm() -> None:
    surfaces, raw = [], []
    for network in (conv_net(), scaled_net()):
        weights, loss = filter_weights(network), net_loss(network)
        with torch.no_grad():
            surfaces.append(drawn_plane(weights, 7).values(TICKS[::2], lambda f=loss: [f()]))
            g = torch.Generator().manual_seed(7)
            first, second = ([torch.randn(w.shape, generator=g).double() for w in weights],) * 2
            raw.append(Plane(weights, first, second).values(TICKS[::2], lambda f=loss: [f()]))
    np.testing.assert_allclose(surfaces[0], surfaces[1], rtol=0, atol=1e-4)
    assert np.abs(raw[0] - raw[1]).max() > 0.05


def test_the_normalised_curvature_does_not_see_it_either() -> None:
    found, raw = [], []
    for network in (conv_net(), scaled_net()):
        weights, loss = filter_weights(network), net_loss(network)
        size = sum(w.numel() for w in weights)
        start = torch.randn(size, generator=torch.Generator().manual_seed(0)).double()
        product = normalised_hessian(loss(), weights)
        found.append(largest_eigenvalue(product, start, 60).value)
        gradient = torch.autograd.grad(loss(), weights, create_graph=True)

        def plain(v: Tensor, gradient: tuple[Tensor, ...] = gradient, w: list = weights) -> Tensor:
            flat = torch.cat([row.flatten() for row in gradient])
            return torch.cat(
                [r.flatten() for r in torch.autograd.grad(flat @ v, w, retain_graph=True)]
            )

        raw.append(largest_eigenvalue(plain, start, 60).value)
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert abs(raw[0] / raw[1] - 1) > 0.1


def test_the_hessian_in_normalised_coordinates_is_exact() -> None:
    for seed in range(5):
        a, theta = quadratic(seed)
        weights = [theta[:2].clone().requires_grad_(), theta[2:].clone().requires_grad_()]
        loss = value(a, torch.cat(weights))
        product = normalised_hessian(loss, weights)
        scale = np.repeat(np.linalg.norm(theta.numpy(), axis=1), theta.shape[1])
        expected = scale[:, None] * a.numpy() * scale
        columns = torch.stack([product(row) for row in torch.eye(12, dtype=torch.float64)])
        np.testing.assert_allclose(columns.numpy(), expected, rtol=1e-12, atol=1e-12)
        start = torch.ones(12, dtype=torch.float64)
        found = largest_eigenvalue(product, start, 20)
        assert found.value == pytest.approx(np.linalg.eigvalsh(expected)[-1], rel=1e-9)


def test_the_largest_eigenvalue_may_be_the_smaller_in_magnitude_and_is_never_exceeded() -> None:
    g = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(30, 30, generator=g, dtype=torch.float64))
    matrix = basis @ torch.diag(torch.linspace(-9, 2, 30, dtype=torch.float64)) @ basis.T
    start = torch.randn(30, generator=g, dtype=torch.float64)
    before = -np.inf
    for steps in (1, 3, 8, 30):
        found = largest_eigenvalue(lambda v: matrix @ v, start, steps)
        assert before <= found.value <= 2 + 1e-9
        nearest = float((torch.linalg.eigvalsh(matrix) - found.value).abs().min())
        assert nearest <= found.error + 1e-9
        before = found.value
    assert before == pytest.approx(2, rel=1e-6)
    assert largest_eigenvalue(lambda v: 0 * v, start, 5) == (0, 0)


def test_a_loss_that_is_linear_has_no_curvature() -> None:
    weight = torch.ones(2, 3, requires_grad=True)
    product = normalised_hessian((weight * 2).sum(), [weight])
    assert product(torch.ones(6)).tolist() == [0.0] * 6


def test_the_gradient_noise_of_least_squares_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 8, 5)), rng.standard_normal((6, 8))
    w = rng.standard_normal(5)
    weight = torch.tensor(w, requires_grad=True)
    losses = (
        0.5 * (torch.tensor(a) @ weight - torch.tensor(b)).square().mean()
        for a, b in zip(x, y, strict=True)
    )
    gradients = np.einsum("bnd,bn->bd", x, x @ w - y) / 8
    found = gradient_noise(losses, [weight])
    assert found.variance == pytest.approx(gradients.var(axis=0).sum(), rel=1e-10)
    assert found.mean_square == pytest.approx((gradients.mean(axis=0) ** 2).sum(), rel=1e-10)
    same = gradient_noise([(weight * weight).sum() for _ in range(3)], [weight])
    assert same.variance == pytest.approx(0, abs=1e-12)


def test_weights_come_back_bit_for_bit_also_after_an_error() -> None:
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    before = weight.clone()
    plane = drawn_plane([weight], 0)
    seen = []

    def measure() -> list[float]:
        seen.append(weight.clone())
        if len(seen) == 12:
            raise KeyboardInterrupt
        return [0.0]

    with pytest.raises(KeyboardInterrupt):
        plane.values([-1, 0, 1], measure)  # nine points: whole
        plane.values([-1, 0, 1], measure)
    assert torch.equal(weight, before)
    assert torch.equal(seen[4], before)  # (0, 0) is the network itself
    torch.testing.assert_close(seen[0], before - plane.first[0] - plane.second[0])
