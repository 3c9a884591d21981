"""Candidate operations of the NAS-Bench-201 cell, at equal channels and stride 1.

The official names are used throughout. Definitions follow the benchmark (Dong & Yang, ICLR 2020):
nor_conv is ReLU-convolution-batch norm; the average pool has no batch norm and does not count the
padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from search_spaces.errors import SpaceError

OperationFactory = Callable[[int, bool, bool], nn.Module]

#: Spellings of other libraries (NNI's hub) for the official names.
ALIASES = {"conv_1x1": "nor_conv_1x1", "conv_3x3": "nor_conv_3x3"}


class Zero(nn.Module):
    """The operation ``none``: zeros of the input's shape, with no gradient."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return zeros of x's shape."""
        return torch.zeros_like(x)


class Noise(nn.Module):
    """The operation ``noise`` of the failure spaces S4: standard normal noise of the input's shape,
    input ignored.

    Source: Zela et al., ICLR 2020 ("Understanding and robustifying DARTS"), as used by DARTS-PT.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N(0, 1) noise of x's shape."""
        return torch.randn_like(x)


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, batch norm.

    affine: batch norm has scale and shift. track_stats: batch norm keeps running statistics (else
    batch statistics are used in evaluation too).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        affine: bool = True,
        track_stats: bool = True,
    ) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=kernel_size // 2,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels, affine=affine, track_running_stats=track_stats),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h / stride, w / stride)."""
        return self.op(x)


def _convolution(kernel_size: int) -> OperationFactory:
    def build(channels: int, affine: bool, track_stats: bool) -> nn.Module:
        return ReLUConvBN(channels, channels, kernel_size, affine=affine, track_stats=track_stats)

    return build


OPERATION_FACTORIES: dict[str, OperationFactory] = {
    "none": lambda channels, affine, track_stats: Zero(),
    "skip_connect": lambda channels, affine, track_stats: nn.Identity(),
    "nor_conv_1x1": _convolution(1),
    "nor_conv_3x3": _convolution(3),
    "avg_pool_3x3": lambda channels, affine, track_stats: nn.AvgPool2d(
        3, stride=1, padding=1, count_include_pad=False
    ),
    "noise": lambda channels, affine, track_stats: Noise(),
}


def build_operation(name: str, channels: int, *, affine: bool, track_stats: bool) -> nn.Module:
    """Build one candidate operation; raises SpaceError for an unknown name."""
    if name not in OPERATION_FACTORIES:
        raise SpaceError(
            f"unknown operation {name!r}; allowed: {', '.join(sorted(OPERATION_FACTORIES))}"
        )
    return OPERATION_FACTORIES[name](channels, affine, track_stats)


def canonical_operation(name: str) -> str:
    """The official NAS-Bench-201 name of an operation that a library may spell differently."""
    return ALIASES.get(name, name)
