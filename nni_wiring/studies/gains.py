"""The stretching of small changes of their inputs by convolution blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nni_wiring.studies.standing import Standing
from search_spaces.operations import ReLUConvBN


class Gain(NamedTuple):
    """Of a block at each of n images: (n,) each.

    Attributes:
        largest: the spectral norm of its Jacobian by power iteration, never above it but by
            rounding.
        typical: |J v| / |v| of one Gaussian v.
    """

    largest: Tensor
    typical: Tensor


class BlockInput(NamedTuple):
    """A block of a cell and what it reads. layer: counted from 0. images: (n, c, h, w)."""

    layer: int
    edge: str
    block: ReLUConvBN
    images: Tensor


def convolution_blocks(found: Standing) -> list[BlockInput]:
    """The convolutions on edges of all cells, with their inputs in a forward pass of all images.

    Batch norm normalises by these images.
    """
    inputs: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs[module] = given[0]

    places = list(_places(found.network))
    hooks = [block.register_forward_pre_hook(keep) for _, _, block in places]
    try:
        with found.measured():
            found.network(found.images[0])
    finally:
        for hook in hooks:
            hook.remove()
    return [BlockInput(layer, edge, block, inputs[block]) for layer, edge, block in places]


def _places(network: nn.Module) -> Iterator[tuple[int, str, ReLUConvBN]]:
    cells = [
        edges
        for m in network.modules()
        if isinstance(edges := getattr(m, "edges", 0), nn.ModuleDict)
    ]
    for layer, edges in enumerate(cells):
        for edge, block in edges.items():
            if isinstance(block, ReLUConvBN):
                yield layer, edge, block


@torch.no_grad()
def frozen(block: ReLUConvBN, images: Tensor) -> Callable[[Tensor], Tensor]:
    """The block with its batch norm as it normalises these images: a function of each image alone.

    The shift, which no Jacobian has, is left out.
    """
    *before, norm = block.op
    convolution = nn.Sequential(*before)
    assert isinstance(norm, nn.BatchNorm2d)
    variance = convolution(images).var(dim=(0, 2, 3), unbiased=False)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    return lambda x: convolution(x) * scale[:, None, None]


@torch.no_grad()
def gain(
    function: Callable[[Tensor], Tensor], images: Tensor, products: int, generator: torch.Generator
) -> Gain:
    """Of a function of each image alone, at images (n, c, h, w).

    Args:
        function: with a Jacobian at each image.
        images: where.
        products: with the Jacobian and its transpose, at least 1.
        generator: of the first vectors.
    """

    def forward(v: Tensor) -> Tensor:
        return torch.func.jvp(function, (images,), (v,))[1]

    pull: Callable[[Tensor], tuple[Tensor]] = torch.func.vjp(function, images)[1]
    v = _unit(torch.randn(images.shape, generator=generator, dtype=images.dtype))
    u = forward(v)
    typical = _sizes(u)
    for _ in range(products):
        (back,) = pull(u)
        v = _unit(back)
        u = forward(v)
    return Gain(_sizes(u), typical)


def _sizes(rows: Tensor) -> Tensor:
    return rows.flatten(1).norm(dim=1)


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; zeros stay."""
    sizes = _sizes(rows).clamp_min(torch.finfo(rows.dtype).tiny)
    return rows / sizes.reshape(-1, *(1,) * (rows.dim() - 1))
