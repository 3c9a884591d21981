"""Candidate operations against their definitions, written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from search_spaces.cell_graph import OPERATIONS
from search_spaces.errors import SpaceError
from search_spaces.operations import build_operation, canonical_operation


def operation(name: str, *, affine: bool = False, track_stats: bool = False) -> torch.nn.Module:
    return build_operation(name, 4, affine=affine, track_stats=track_stats).double()


@pytest.fixture
def x() -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(5, 4, 6, 7, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("name", [*OPERATIONS, "noise"])
def test_every_operation_keeps_shape_and_type(name: str, x: torch.Tensor) -> None:
    y = operation(name)(x)
    assert y.shape == x.shape and y.dtype == x.dtype


def test_none_is_zero_and_skip_is_the_input(x: torch.Tensor) -> None:
    assert torch.equal(operation("none")(x), torch.zeros_like(x))
    assert torch.equal(operation("skip_connect")(x), x)


def test_average_pool_does_not_count_the_padding(x: torch.Tensor) -> None:
    y = operation("avg_pool_3x3")(x).numpy()
    for row, column in np.ndindex(6, 7):
        window = x[:, :, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        np.testing.assert_allclose(y[:, :, row, column], window.mean(dim=(2, 3)), atol=1e-12)


@pytest.mark.parametrize("side", [1, 3])
def test_nor_conv_is_relu_convolution_batch_norm(side: int, x: torch.Tensor) -> None:
    module = operation(f"nor_conv_{side}x{side}")
    parameters = dict(module.named_parameters())
    assert [p.shape for p in parameters.values()] == [(4, 4, side, side)]  # no bias, not affine
    (weight,) = parameters.values()
    z = F.conv2d(x.clamp(min=0), weight, padding=side // 2)
    mean = z.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((z - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    torch.testing.assert_close(module(x), (z - mean) / (variance + 1e-5).sqrt())
    torch.testing.assert_close(module.eval()(x), (z - mean) / (variance + 1e-5).sqrt())


def test_affine_and_tracked_batch_norm() -> None:
    module = operation("nor_conv_3x3", affine=True, track_stats=True)
    assert sum(p.numel() for p in module.parameters()) == 4 * 4 * 9 + 4 + 4
    assert {name.rsplit(".", 1)[-1] for name, _ in module.named_buffers()} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert not list(operation("nor_conv_3x3").buffers())


def test_noise_ignores_its_input_and_is_standard_normal() -> None:
    torch.manual_seed(0)
    y = operation("noise")(torch.full((64, 4, 16, 16), torch.nan))
    assert abs(y.mean().item()) < 0.02 and abs(y.std().item() - 1) < 0.02
    assert not torch.equal(y, operation("noise")(y))


def test_unknown_operation_lists_the_known() -> None:
    with pytest.raises(SpaceError, match="'conv_5x5'.*nor_conv_3x3"):
        build_operation("conv_5x5", 4, affine=False, track_stats=False)


def test_spellings_of_nni_are_translated() -> None:
    names = ["none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3"]  # NNI's hub
    assert tuple(map(canonical_operation, names)) == OPERATIONS
