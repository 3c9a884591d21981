"""Distances of an edge's skip and convolution from m*, and the mixture nearest to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.supernet.cell import SupernetCell


class Distances(NamedTuple):
    """Of one edge, all three standardised: var(x - m*), var(o - m*) and their covariance."""

    skip: float
    conv: float
    covariance: float


def distances(x: torch.Tensor, o: torch.Tensor, target: torch.Tensor) -> Distances:
    """Distances of x (skip) and o (the convolution's result) from m*, each standardised to mean 0
    and variance 1 in every channel: the proposition takes them to be on one scale, which a sum and
    a batch-normed tensor are not.

    Args:
        x: (n, channels, h, w).
        o: of the same shape.
        target: m*, of the same shape.
    """
    whole = standardised(target)
    skip, conv = standardised(x) - whole, standardised(o) - whole
    return Distances(
        float(skip.square().mean()), float(conv.square().mean()), float((skip * conv).mean())
    )


def standardised(x: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1 in every channel; 0 where a channel is constant."""
    centred = x - x.mean(dim=(0, 2, 3), keepdim=True)
    deviation = centred.square().mean(dim=(0, 2, 3), keepdim=True).sqrt()
    return centred / deviation.clamp_min(torch.finfo(x.dtype).tiny)


def exact_share(skip: float, conv: float, covariance: float) -> float:
    """The weight w of the convolution that minimises var(w o + (1 - w) x - m*): (V_x - K) / (V_x +
    V_o - 2 K). The proposition is its case K = 0 (ours). NaN where x and o are the same.
    """
    both = skip + conv - 2 * covariance
    return (skip - covariance) / both if both > 1e-12 else float("nan")


@contextmanager
def watched_distances(module: SearchModule, conv: int) -> Iterator[list[list[Distances]]]:
    """While open, every cell that runs adds a row: the distances of each edge.

    The convolution's module tells both: its input is x. In cells with partial channels it sees
    C / K of them, which the shuffle behind the mixture spreads to every K-th: m* is those.
    """
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    rows: list[list[Distances]] = []

    def note(edge: int) -> Any:
        def hook(op: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen[edge] = inputs[0], output

        return hook

    def finish(cell: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        found = []
        for edge in sorted(seen):
            x, o = seen[edge]
            found.append(distances(x, o, output[:, :: output.shape[1] // o.shape[1]]))
        rows.append(found)
        seen.clear()

    cells = [m for m in module.model.modules() if isinstance(m, SupernetCell)]
    handles = [cell.register_forward_hook(finish) for cell in cells]
    for cell in cells:
        for edge in range(len(cell.graph.edges)):
            handles.append(cell.operation(edge, conv).register_forward_hook(note(edge)))
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()
