"""SharingCell: the supernet cell for operations that the fused cell does not know, on one core."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from nni_wiring.supernet.autocast import autocast_type
from nni_wiring.supernet.cell import SupernetCell, Weights, is_zero
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.supernet.fused.depthwise import convolve
from nni_wiring.supernet.partial_cell import PartialCell
from search_spaces.operations import Noise


class SharingCell(SupernetCell):
    """A SupernetCell in which the edges that leave a node share their ReLU and their pools, all in
    channels-last memory, and Z enters through the scale of the last batch norm of an operation.

    It computes the plain cell's function on the plain cell's parameters, and second derivatives
    exist. It runs as the plain cell does off the CPU, under autocast, and where a candidate module
    has forward hooks. compiled: let native code serve depthwise convolutions (`convolve`).
    """

    compiled = False
    _shared: dict[Hashable, Tensor] | None = None

    def unified(self, inputs: Sequence[Tensor], draw: Draw) -> Tensor:
        """The formula of the plain cell."""
        if inputs[0].device.type != "cpu" or autocast_type("cpu") is not None or self._heard(draw):
            return super().unified(inputs, draw)
        self._shared = {}
        try:
            return super().unified(inputs, draw)
        finally:
            self._shared = None

    def _heard(self, draw: Draw) -> bool:
        modules = [self.operation(e, k) for e, ks in enumerate(draw.active) for k in ks]
        return any(m._forward_hooks or m._forward_pre_hooks for m in modules)

    def mixture(self, edge: int, x: Tensor, weights: Weights, draw: Draw) -> Tensor | None:
        """The plain cell's, with what was computed for another edge of the same source."""
        if self._shared is None:
            return super().mixture(edge, x, weights, draw)
        source = self.graph.edges[edge][0]
        x = self._once(source, lambda: x.contiguous(memory_format=torch.channels_last))
        total: Tensor | None = None
        for k in draw.active[edge]:
            operation = self.operation(edge, k)
            if not is_zero(operation):
                term = self._term(source, operation, x, weights[k])
                # in place: a term is a tensor of its own that no backward pass reads
                total = term if total is None else total.add_(term)
        return total

    def _term(self, source: int, operation: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
        if isinstance(operation, Noise):
            return weight * operation(x.contiguous())  # numbers are drawn in the order of memory
        steps = normalised_steps(operation)
        if steps is None:
            return weight * operation(x)
        *body, norm = steps
        if isinstance(body[0], (nn.MaxPool2d, nn.AvgPool2d)):
            pool = body[0]
            if len(body) == 1 and norm.weight is None:
                key = (source, repr(pool), norm.eps)
                return weight * self._once(key, lambda: norm(pool(x)))
        elif type(body[0]) is nn.ReLU:
            x = self._once((source, "relu"), lambda: torch.relu(x))
            body = body[1:]
        for step in body:
            x = convolve(step, x, compiled=self.compiled)
        return scaled_norm(norm, x, weight)

    def _once(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        assert self._shared is not None
        if key not in self._shared:
            self._shared[key] = compute()
        return self._shared[key]


class SharingPartialCell(SharingCell, PartialCell):
    """A PartialCell whose mixtures are computed as in a SharingCell."""


def normalised_steps(operation: nn.Module) -> list[Any] | None:
    """The layers of a chain that ends in a batch norm without running statistics; else None."""
    only = list(operation.children())
    chain = only[0] if len(only) == 1 and hasattr(operation, "op") else operation
    if not isinstance(chain, nn.Sequential) or len(chain) < 2:
        return None
    norm = chain[-1]
    return list(chain) if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is None else None


def scaled_norm(norm: nn.BatchNorm2d, x: Tensor, weight: Tensor) -> Tensor:
    """weight * norm(x) in one pass, for a scalar ``weight`` and batch statistics."""
    width = x.shape[1]
    # contiguous: torch's channels-last backward pass of a batch norm is wrong for strides of 0
    scale = weight.to(x.dtype).expand(width).contiguous()
    shift = None
    if norm.weight is not None:
        scale, shift = scale * norm.weight[:width], scale * norm.bias[:width]
    return batch_norm(x, None, None, scale, shift, training=True, eps=norm.eps)


def can_share(modules: Sequence[nn.Module]) -> bool:
    """True where some operation is a chain that sharing makes faster."""
    return any(normalised_steps(module) is not None for module in modules)
