"""Selection by magnitude: the operation of the largest probability on every edge (as in DARTS)."""

from __future__ import annotations

from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation


def magnitude(group: EdgeGroup, relaxation: Relaxation, *, allow_none: bool = True) -> list[int]:
    """The operation (column of alpha) of the largest p(alpha) on every edge; the first wins a tie.

    allow_none: whether ``none`` may be chosen. AutoDL's NAS-Bench-201 search lets it; the original
    DARTS does not. An edge that allows nothing but ``none`` keeps it.
    """
    probabilities = relaxation.probabilities(group).detach().cpu().clone()
    if not allow_none and "none" in group.operations:
        none = group.operations.index("none")
        for edge, allowed in enumerate(group.allowed):
            if len(allowed) > 1:
                probabilities[edge, none] = -1.0
    return probabilities.argmax(dim=-1).tolist()
