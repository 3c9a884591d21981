"""Any relaxation with some edges decided (as in SGAS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from nni_wiring.supernet.decisions import decided_weights
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation


class Decided(Relaxation):
    """Another relaxation on open edges; one-hot on edges that ``group.decisions`` has decided, of
    which only that operation runs, and zero on dropped ones.
    """

    name: ClassVar[str] = "decided"

    def __init__(self, inner: Relaxation) -> None:
        self.inner = inner
        self.pathwise, self.deterministic = inner.pathwise, inner.deterministic

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """See the class."""
        return self.inner.draw(group, phase, generator).decided(group.decisions.rows())

    def probabilities(self, group: EdgeGroup) -> torch.Tensor:
        """p(alpha), rows sum to 1, but for dropped edges; decided rows are constants."""
        return decided_weights(self.inner.probabilities(group), group.decisions.rows())

    def evaluation_weights(self, group: EdgeGroup) -> torch.Tensor:
        """The inner relaxation's, decided."""
        return decided_weights(self.inner.evaluation_weights(group), group.decisions.rows())

    def sample_cells(
        self, groups: Sequence[EdgeGroup], generator: torch.Generator
    ) -> dict[str, list[int]]:
        """Cells of the inner relaxation, with the decided edges' operations."""
        cells = self.inner.sample_cells(groups, generator)
        for group in groups:
            for edge, operation in group.decisions.chosen.items():
                cells[group.name][edge] = operation
        return cells

    def alpha_gradient(self, group: EdgeGroup, draw: Draw, cost: torch.Tensor) -> torch.Tensor:
        """The inner relaxation's; zero on edges that no longer follow alpha."""
        gradient = self.inner.alpha_gradient(group, draw, cost)
        return decided_weights(gradient, dict.fromkeys(group.decisions.rows()))
