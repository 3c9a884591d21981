"""Edges that are decided already: their row of Z no longer follows alpha."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from nni_wiring.supernet.edge_group import Draw

#: Edge (row of alpha) -> its operation (column), or None for an edge that was dropped.
Decisions = Mapping[int, int | None]


def decided_weights(z: torch.Tensor, decisions: Decisions) -> torch.Tensor:
    """z, (edges, operations), with one-hot rows for decided edges and zero rows for dropped ones.

    Gradients pass through the other rows only.
    """
    if not decisions:
        return z
    rows = torch.zeros_like(z)
    free = torch.ones_like(z)
    for edge, operation in decisions.items():
        # fill_: an assignment would make the number on the host and copy it to the device
        free[edge].fill_(0)
        if operation is not None:
            rows[edge, operation].fill_(1)
    return z * free + rows


def with_decisions(draw: Draw, decisions: Decisions) -> Draw:
    """The draw with decided rows; a leaf stays a leaf (methods that read dL/dZ off it)."""
    if not decisions:
        return draw
    z = decided_weights(draw.z, decisions)
    if draw.z.is_leaf and draw.z.requires_grad:
        z = z.detach().requires_grad_()
    active = list(draw.active)
    for edge, operation in decisions.items():
        active[edge] = () if operation is None else (operation,)
    return draw._replace(z=z, active=tuple(active))
