"""TopK: the relaxation of Discovering Neural Wirings, a fixed budget of operations a cell."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.errors import ConfigError
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


class TopK(Relaxation):
    """DNW: Z = 1 at the k largest |score| of the whole cell, else 0; the backward pass takes Z for
    the score itself (Wortsman, Farhadi & Rastegari, NeurIPS 2019; there the scores are
    the weights of edges, and Z is the score on the k largest).

    Hence dL/dscore = <dL/dy, O_e(x)> for every operation, whether it is selected or not: S1's local
    cost, of which none's is 0. ``none`` is no candidate: its score neither counts nor moves, and an
    edge without any selected operation is none. An edge may hold several selected operations.
    A weight step runs the selected operations, every other step all but none.

    k: None for half of the group's edges, rounded up.
    """

    name: ClassVar[str] = "top_k"

    def __init__(self, k: int | None = None) -> None:
        self.k = k

    def budget(self, group: EdgeGroup) -> int:
        """The k of a group. Raises ConfigError where it has fewer operations than that."""
        k = (len(group.edges) + 1) // 2 if self.k is None else self.k
        candidates = int(_candidates(group).sum())
        if k > candidates:
            raise ConfigError(
                f"top_k = {k}: {group.name!r} has {candidates} operations beside none; "
                f"allowed: 1 to {candidates}"
            )
        return k

    def wiring(self, group: EdgeGroup) -> torch.Tensor:
        """Z, (edges, operations): exactly k ones."""
        sizes = group.alpha.detach().abs().masked_fill(~_candidates(group), -1.0).flatten()
        z = torch.zeros_like(sizes)
        z[sizes.topk(self.budget(group)).indices] = 1.0
        return z.view_as(group.alpha)

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Nothing is drawn: Z follows from the scores."""
        candidates, hard = _candidates(group), self.wiring(group)
        score = group.alpha * candidates
        active = _active(group) if phase != "weights" else _ones(hard)
        return Draw(hard + (score - score.detach()), active)

    def strengths(self, group: EdgeGroup) -> torch.Tensor:
        """|score| where Z is 1, else 0; (edges, operations)."""
        return group.alpha.detach().abs() * self.wiring(group)

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """The wiring as a distribution, since the paper has none: an edge's selected operations by
        their |score|; none for certain where there is no such, or the largest |score| where the
        edge does not allow none.
        """
        strengths = self.strengths(group)
        fallback = torch.zeros_like(strengths)
        sizes = group.alpha.detach().abs().masked_fill(~_candidates(group), -1.0)
        fallback[torch.arange(len(sizes)), sizes.argmax(dim=-1)] = 1.0
        if "none" in group.operations:
            none = group.operations.index("none")
            empties = group.mask[:, none]
            fallback[empties] = 0.0
            fallback[empties, none] = 1.0
        total = strengths.sum(dim=-1, keepdim=True)
        shares = strengths / total.clamp_min(torch.finfo(total.dtype).tiny)
        return torch.where(total > 0, shares, fallback)

    def evaluation_weights(self, group: EdgeGroup) -> torch.Tensor:
        """Z itself, as the supernet is trained with."""
        return self.wiring(group)


def _active(group: EdgeGroup) -> tuple[tuple[int, ...], ...]:
    """The candidates of every edge; known on the host, so that no step waits for the device."""
    return tuple(
        tuple(k for k in allowed if group.operations[k] != "none") for allowed in group.allowed
    )


def _ones(z: torch.Tensor) -> tuple[tuple[int, ...], ...]:
    """The operations of every edge that Z is 1 at."""
    return tuple(tuple(k for k, one in enumerate(row) if one) for row in z.tolist())


def _candidates(group: EdgeGroup) -> torch.Tensor:
    """The entries that can be selected, (edges, operations), bool: the allowed ones but none."""
    named = [operation != "none" for operation in group.operations]
    return group.mask & torch.tensor(named, device=group.mask.device)
