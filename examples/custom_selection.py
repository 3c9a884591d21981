"""A selection of your own: `none` only where it wins clearly."""

import torch
from pydantic import Field

from nni_wiring.selection.base import Selection, SelectionSettings, magnitude
from nni_wiring.selection.registry import register_selection
from nni_wiring.supernet.edge_group import EdgeGroup


class ClearNoneSettings(SelectionSettings):
    """margin: by how much p(none) must exceed the best other operation's p."""

    margin: float = Field(default=0.2, ge=0)


@register_selection
class ClearNone(Selection):
    """The largest p(alpha) on every edge, but ``none`` only with a margin."""

    name = "clear_none"
    summary = "the largest p(alpha), none only where it leads by the margin"
    Settings = ClearNoneSettings
    settings: ClearNoneSettings

    def read(self, group: EdgeGroup, probabilities: torch.Tensor) -> list[int]:
        """A column of alpha for every edge, from p(alpha), (edges, operations)."""
        best = magnitude(group, probabilities)
        others = magnitude(group, probabilities, allow_none=False)
        p = probabilities.detach().cpu()
        return [
            first if p[edge, first] - p[edge, other] >= self.settings.margin else other
            for edge, (first, other) in enumerate(zip(best, others, strict=True))
        ]
