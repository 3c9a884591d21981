"""Candidate operations of DARTS-type cells, at equal channels and stride 1 or 2.

The names are those of Liu, Simonyan & Yang (ICLR 2019). Some are shared with NAS-Bench-201 but
stand for other modules: here pools are followed by batch norm, and a skip of stride 2 is a
factorised reduction.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from search_spaces.errors import SpaceError
from search_spaces.operations import Noise, Zero


class StridedZero(Zero):
    """``none`` where the edge halves height and width: zeros of half the size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c, h, w) -> zeros (n, c, ceil(h / 2), ceil(w / 2))."""
        return torch.zeros_like(x[:, :, ::2, ::2])


class StridedNoise(Noise):
    """``noise`` where the edge halves height and width."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c, h, w) -> N(0, 1) noise (n, c, ceil(h / 2), ceil(w / 2))."""
        return torch.randn_like(x[:, :, ::2, ::2])


class FactorizedReduce(nn.Module):
    """Halves height and width: ReLU, two 1x1 convolutions of stride 2, one of them shifted by a
    pixel, concatenated, batch norm.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: nn.Module) -> None:
        super().__init__()
        half = out_channels // 2
        self.relu = nn.ReLU()
        self.conv_a = nn.Conv2d(in_channels, half, 1, stride=2, bias=False)
        self.conv_b = nn.Conv2d(in_channels, out_channels - half, 1, stride=2, bias=False)
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h / 2, w / 2); h and w even."""
        x = self.relu(x)
        return self.norm(torch.cat([self.conv_a(x), self.conv_b(x[:, :, 1:, 1:])], dim=1))


class _Kit:
    """Builds the parts of one operation: channels, stride and the batch norm's options."""

    def __init__(self, channels: int, stride: int, affine: bool, track_stats: bool) -> None:
        self.channels, self.stride = channels, stride
        self._affine, self._track = affine, track_stats

    def norm(self) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(self.channels, affine=self._affine, track_running_stats=self._track)

    def depthwise(self, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
        """ReLU, depthwise convolution, 1x1 convolution, batch norm."""
        c = self.channels
        padding = dilation * (kernel - 1) // 2
        spatial = nn.Conv2d(c, c, kernel, stride, padding, dilation, groups=c, bias=False)
        return [nn.ReLU(), spatial, nn.Conv2d(c, c, 1, bias=False), self.norm()]

    def separable(self, kernel: int) -> nn.Module:
        return nn.Sequential(*self.depthwise(kernel, self.stride), *self.depthwise(kernel, 1))

    def dilated(self, kernel: int) -> nn.Module:
        return nn.Sequential(*self.depthwise(kernel, self.stride, dilation=2))

    def pool(self, pool: nn.Module) -> nn.Module:
        return nn.Sequential(pool, self.norm())

    def skip(self) -> nn.Module:
        if self.stride == 1:
            return nn.Identity()
        return FactorizedReduce(self.channels, self.channels, self.norm())


_FACTORIES: dict[str, Callable[[_Kit], nn.Module]] = {
    "none": lambda kit: Zero() if kit.stride == 1 else StridedZero(),
    "skip_connect": lambda kit: kit.skip(),
    "max_pool_3x3": lambda kit: kit.pool(nn.MaxPool2d(3, kit.stride, padding=1)),
    "avg_pool_3x3": lambda kit: kit.pool(
        nn.AvgPool2d(3, kit.stride, padding=1, count_include_pad=False)
    ),
    "sep_conv_3x3": lambda kit: kit.separable(3),
    "sep_conv_5x5": lambda kit: kit.separable(5),
    "dil_conv_3x3": lambda kit: kit.dilated(3),
    "dil_conv_5x5": lambda kit: kit.dilated(5),
    "noise": lambda kit: Noise() if kit.stride == 1 else StridedNoise(),
}


def build_darts_operation(
    name: str, channels: int, *, stride: int, affine: bool, track_stats: bool
) -> nn.Module:
    """Build one candidate operation of a DARTS-type cell; SpaceError for an unknown name."""
    if name not in _FACTORIES:
        raise SpaceError(f"unknown operation {name!r}; allowed: {', '.join(sorted(_FACTORIES))}")
    return _FACTORIES[name](_Kit(channels, stride, affine, track_stats))
