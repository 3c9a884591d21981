"""Genotypes of DARTS' cells: their form, and the one that DARTS derives from alpha."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nni_wiring.selection.magnitude import magnitude
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation
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


def magnitude_genotype(groups: Sequence[EdgeGroup], relaxation: Relaxation) -> str | None:
    """The largest p(alpha) but none on every edge, on the two strongest edges into every node (Liu,
    Simonyan & Yang, ICLR 2019, section 2.4), as ``darts_genotype`` gives it.
    """
    return darts_genotype(groups, lambda group: _pairs(group, relaxation))


def _pairs(group: EdgeGroup, relaxation: Relaxation) -> Pairs:
    p = relaxation.probabilities(group).detach()
    best = magnitude(group, p, allow_none=False)
    chosen = {edge: group.operations[k] for edge, k in zip(group.edges, best, strict=True)}
    strength = {edge: float(p[row, best[row]]) for row, edge in enumerate(group.edges)}
    return cell_pairs(chosen, strongest_edges(strength))
