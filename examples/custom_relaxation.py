"""A relaxation of your own: sparsemax, whose Z is exactly zero for weak operations."""

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation, register_relaxation


@register_relaxation
class Sparsemax(Relaxation):
    """The point of the simplex that lies nearest to alpha (Martins & Astudillo, ICML 2016)."""

    name = "sparsemax"
    deterministic = True  # nothing is drawn

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Z, and which operations run: all, since a zero of today may weigh something tomorrow."""
        return Draw(self.probabilities(group), group.allowed)

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """max(alpha - tau, 0) per edge, with the tau that makes a row sum to 1."""
        logits = group.logits()
        ordered = logits.sort(dim=-1, descending=True).values
        place = torch.arange(1, ordered.shape[-1] + 1, device=ordered.device)
        support = 1 + place * ordered > ordered.cumsum(dim=-1)
        kept = torch.where(support, ordered, torch.zeros_like(ordered))
        tau = (kept.sum(dim=-1, keepdim=True) - 1) / support.sum(dim=-1, keepdim=True)
        return (logits - tau).clamp_min(0)
