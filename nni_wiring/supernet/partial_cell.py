"""PartialCell: a supernet cell whose operations see 1/K of the channels (PC-DARTS)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import batch_norm, max_pool2d
from torch.nn.modules.batchnorm import _BatchNorm

from nni_wiring.errors import ConfigError
from nni_wiring.supernet.cell import SupernetCell, Weights
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from search_spaces.cell_graph import CellGraph


class ChannelShare:
    """K, shared by all cells of a supernet: operations see the first 1/K of an edge's channels."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor


class SlimConv2d(nn.Conv2d):
    """A convolution that runs on the first channels only: its width follows the input's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in_channels / K, h, w) -> (n, out_channels / K, h', w'), for any K."""
        width = x.shape[1]
        outputs = self.out_channels * width // self.in_channels
        groups = self.groups * width // self.in_channels if self.groups > 1 else 1
        weight = self.weight[:outputs, : width // groups]
        bias = None if self.bias is None else self.bias[:outputs]
        return nn.functional.conv2d(
            x, weight, bias, self.stride, self.padding, self.dilation, groups
        )


class SlimBatchNorm2d(nn.BatchNorm2d):
    """A batch norm that runs on the first channels only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels / K, h, w), for any K; same shape out."""
        width = x.shape[1]
        running = self.running_mean is not None and (not self.training or self.track_running_stats)
        mean = self.running_mean[:width] if running and self.running_mean is not None else None
        var = self.running_var[:width] if running and self.running_var is not None else None
        weight = None if self.weight is None else self.weight[:width]
        bias = None if self.bias is None else self.bias[:width]
        momentum = 0.1 if self.momentum is None else self.momentum
        return batch_norm(
            x, mean, var, weight, bias, self.training or mean is None, momentum, self.eps
        )


def make_slim(module: nn.Module, divisor: int) -> None:
    """Let every convolution and batch norm of an operation follow its input's width, in place.

    Parameters keep their names and full shapes, so that K may change during a search, and an
    operation that is given all channels computes what it did before. Convolutions are scaled as if
    they had been initialised for 1/divisor of their inputs. Raises ConfigError for a layer over
    channels that cannot be thinned.
    """
    for part in module.modules():
        if type(part) is nn.Conv2d:
            part.__class__ = SlimConv2d
            if part.groups == 1:
                with torch.no_grad():
                    part.weight.mul_(math.sqrt(divisor))
        elif type(part) is nn.BatchNorm2d:
            part.__class__ = SlimBatchNorm2d
        elif isinstance(part, (nn.modules.conv._ConvNd, _BatchNorm, nn.Linear)) and not isinstance(
            part, (SlimConv2d, SlimBatchNorm2d)
        ):
            raise ConfigError(
                f"partial channels: cannot run {type(part).__name__} on some of its channels"
            )


def shuffle_channels(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Interleave ``groups`` runs of channels (ShuffleNet, Zhang et al., CVPR 2018); same shape."""
    n, channels, height, width = x.shape
    return (
        x.view(n, groups, channels // groups, height, width)
        .transpose(1, 2)
        .reshape(n, channels, height, width)
    )


class PartialCell(SupernetCell):
    """An edge runs its mixture on the first 1/K of the channels, passes the others on and shuffles
    all (Xu et al., ICLR 2020, section 3.1); ``draw.edge_weights`` weights the edge as a whole
    (section 3.2).

    With K = 1 and no edge weights it is the SupernetCell, with the same state_dict.
    """

    def __init__(
        self, graph: CellGraph, edges: nn.ModuleDict, group: EdgeGroup, share: ChannelShare
    ) -> None:
        super().__init__(graph, edges, group)
        self._share = share
        if share.divisor > 1:
            make_slim(edges, share.divisor)

    def edge_output(
        self, edge: int, x: torch.Tensor, weights: Weights, draw: Draw
    ) -> torch.Tensor | None:
        """See the class. Raises ConfigError where the channels cannot be split by K."""
        divisor = self._share.divisor
        if divisor == 1:
            term = self.mixture(edge, x, weights, draw)
        else:
            term = self._partial(edge, x, weights, draw, divisor)
        if term is None or draw.edge_weights is None:
            return term
        return draw.edge_weights[edge] * term

    def _partial(
        self, edge: int, x: torch.Tensor, weights: Weights, draw: Draw, divisor: int
    ) -> torch.Tensor | None:
        if not draw.active[edge]:
            return None  # the edge was dropped
        channels = x.shape[1]
        if channels % divisor:
            raise ConfigError(f"partial channels: {channels} channels cannot be split by {divisor}")
        seen, rest = x.split([channels // divisor, channels - channels // divisor], dim=1)
        mixed = self.mixture(edge, seen, weights, draw)
        if mixed is None:
            mixed = self.operation(edge, draw.active[edge][0])(seen)  # zeros of the right size
        if rest.shape[-2:] != mixed.shape[-2:]:
            rest = max_pool2d(rest, 2)  # a reduction edge: PC-DARTS pools what it passes on
        return shuffle_channels(torch.cat([mixed, rest], dim=1), divisor)
