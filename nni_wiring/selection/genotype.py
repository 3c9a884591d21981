"""Genotypes of DARTS' cells: their form, and the one that is derived from the weights of Z."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from nni_wiring.selection.base import magnitude
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.edge_weights import edge_weights
from search_spaces.genotypes import (
    DARTS_GRAPH,
    Genotype,
    Pairs,
    cell_pairs,
    format_genotype,
    strongest_edges,
)


def darts_genotype(groups: Sequence[EdgeGroup], pairs: Callable[[EdgeGroup], Pairs]) -> str | None:
    """The published form of the cells whose genotype pairs ``pairs`` gives; None where the groups
    are not the normal and reduction cells of DARTS.
    """
    kinds = {group.name: group for group in groups}
    if set(kinds) != {"normal", "reduce"} or any(g.graph != DARTS_GRAPH for g in groups):
        return None
    outputs = DARTS_GRAPH.outputs
    return format_genotype(
        Genotype(pairs(kinds["normal"]), outputs, pairs(kinds["reduce"]), outputs)
    )


def strongest_pairs(
    group: EdgeGroup, weights: torch.Tensor, keeps: Callable[[list[int]], list[bool]] | None = None
) -> Pairs:
    """The largest weight but none on every edge, on the two strongest edges into every node (Liu,
    Simonyan & Yang, ICLR 2019, section 2.4).

    Args:
        group: A DARTS cell's edges.
        weights: Z, (edges, operations). An edge is as strong as its largest weight but none's,
            times its edge weight where there are any (Xu et al., ICLR 2020, section 3.2).
        keeps: Which edges are worth keeping with the operations given; others become ``none``.
    """
    z = weights.detach()
    best = magnitude(group, z, allow_none=False)
    whole = edge_weights(group)
    scale = torch.ones(len(z)) if whole is None else whole.detach().cpu()
    strength = {
        edge: float(scale[row]) * float(z[row, best[row]]) for row, edge in enumerate(group.edges)
    }
    kept = [True] * len(best) if keeps is None else keeps(best)
    chosen = {
        edge: group.operations[k] if keep else "none"
        for edge, k, keep in zip(group.edges, best, kept, strict=True)
    }
    return cell_pairs(chosen, strongest_edges(strength))
