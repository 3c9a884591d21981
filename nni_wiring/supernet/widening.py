"""Partial channels that widen: newly visible channels start as copies of trained ones (DrNAS)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from nni_wiring.supernet.partial_cell import SlimBatchNorm2d, SlimConv2d

#: The tensors that follow a parameter: an optimiser's momentum.
Followers = Callable[[torch.Tensor], list[torch.Tensor]]


def widen(
    operation: nn.Module,
    before: int,
    after: int,
    generator: torch.Generator,
    followers: Followers = lambda parameter: [],
) -> None:
    """Make an operation trained on 1/``before`` of its channels ready for 1/``after`` of them.

    Each new channel takes the weights of a trained one, drawn from ``generator``: first as an
    input, then as an output, batch norm's entries along with the outputs (Chen et al., ICLR 2021,
    section 3.3; Chen, Goodfellow & Shlens, ICLR 2016, but without dividing by the number of copies,
    as in the authors' code). All layers of one width take the same draw.

    Args:
        operation: A candidate whose layers are slim (``make_slim``); changed in place.
        before: K of the training so far.
        after: K from now on, smaller.
        generator: The search's own random source.
        followers: What moves along with a parameter.
    """
    drawn: dict[int, torch.Tensor] = {}

    def sources(channels: int) -> torch.Tensor:
        old, new = channels // before, channels // after
        if channels not in drawn:
            drawn[channels] = torch.randint(old, (new - old,), generator=generator)
        return drawn[channels]

    with torch.no_grad():
        for layer in operation.modules():
            if isinstance(layer, SlimConv2d):
                for weight in (layer.weight, *followers(layer.weight)):
                    seen = weight[: layer.out_channels // after]
                    if layer.groups == 1:
                        seen = seen[:, : layer.in_channels // after]
                        _copy(seen, 1, layer.in_channels // before, sources(layer.in_channels))
                    _copy(seen, 0, layer.out_channels // before, sources(layer.out_channels))
                if layer.bias is not None:
                    for bias in (layer.bias, *followers(layer.bias)):
                        _copy(bias, 0, layer.out_channels // before, sources(layer.out_channels))
            elif isinstance(layer, SlimBatchNorm2d):
                for vector in _vectors(layer, followers):
                    _copy(vector, 0, layer.num_features // before, sources(layer.num_features))


def _vectors(norm: nn.BatchNorm2d, followers: Followers) -> Iterator[torch.Tensor]:
    """Everything that has one entry per channel."""
    for parameter in (norm.weight, norm.bias):
        if parameter is not None:
            yield from (parameter, *followers(parameter))
    for statistic in (norm.running_mean, norm.running_var):
        if statistic is not None:
            yield statistic


def _copy(tensor: torch.Tensor, dimension: int, old: int, index: torch.Tensor) -> None:
    """Fill the entries from ``old`` on, in one dimension, with those of ``index``."""
    index = index.to(tensor.device)
    found = tensor.index_select(dimension, index)
    tensor.narrow(dimension, old, len(index)).copy_(found)
