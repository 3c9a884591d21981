"""EdgeGroup: the alphas of all edges that are drawn together, and the Z of the current step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from nni_wiring.supernet.decisions import Decisions, Rows, decided_weights
from search_spaces.cell_graph import CellGraph


class Draw(NamedTuple):
    """One draw of Z for an edge group, shared by every cell of the group's label.

    Attributes:
        z: (edges, operations).
        active: for every edge the indices of the operations that are run; the others are not
            computed, and their z must be zero.
        edge_weights: (edges,), a weight of every edge as a whole, for cells that know it
            (PartialCell); None for none.
    """

    z: torch.Tensor
    active: tuple[tuple[int, ...], ...]
    edge_weights: torch.Tensor | None = None

    def decided(self, rows: Rows) -> Draw:
        """The draw with decided rows; a leaf stays a leaf (methods that read dL/dZ off it)."""
        if not rows:
            return self
        z = decided_weights(self.z, rows)
        if self.z.is_leaf and self.z.requires_grad:
            z = z.detach().requires_grad_()
        active = list(self.active)
        for edge, operation in rows.items():
            active[edge] = () if operation is None else (operation,)
        return self._replace(z=z, active=tuple(active))


class EdgeGroup(nn.Module):
    """Edges that share one table of architecture parameters.

    name: the label scope ("cell"). edges: edge names ("0-1"), in graph order, which is the order of
    the rows of alpha. labels: the NNI label of every edge. operations: the candidates of every
    edge, as NNI names them (a LayerChoice over a list names them 0, 1, ...; ``choices`` keeps that,
    all else here is spelt as strings). graph: the cell's graph, or None for a lone LayerChoice of
    some other space.

    ``alpha`` has shape (edges, operations); its columns are the union of the edges' operations in
    order of appearance, and ``mask`` (same shape, bool) tells which entries exist. Rows stand in
    the order of ``labels``, which is the graph's, so that an optimiser's moments that were saved
    land on the edge that they came from.

    draw: Z of the present step. decisions: the edges that are decided already; the one place where
    they are kept.
    """

    mask: torch.Tensor

    def __init__(
        self,
        name: str,
        edges: Sequence[str],
        labels: Sequence[str],
        operations: Sequence[Sequence[str | int]],
        graph: CellGraph | None = None,
    ) -> None:
        super().__init__()
        self.name, self.graph = name, graph
        self.edges = tuple(edges)
        self.labels = tuple(map(str, labels))  # NNI's are of a class of their own, no plain data
        self.choices = tuple(tuple(names) for names in operations)
        self.edge_operations = tuple(tuple(map(str, names)) for names in operations)
        self.operations = tuple(dict.fromkeys(op for names in self.edge_operations for op in names))
        mask = [[op in names for op in self.operations] for names in self.edge_operations]
        self.register_buffer("mask", torch.tensor(mask), persistent=False)
        self.alpha = nn.Parameter(torch.zeros(len(self.edges), len(self.operations)))
        self.allowed = tuple(
            tuple(self.operations.index(op) for op in names) for names in self.edge_operations
        )
        self.draw: Draw | None = None
        self.decisions = Decisions()

    def __getstate__(self) -> dict[str, Any]:
        # the draw belongs to one step and hangs on its graph, which cannot be copied
        return {**self.__dict__, "draw": None}

    def initialise(
        self, scale: float, generator: torch.Generator | None = None, *, mean: float = 0.0
    ) -> None:
        """alpha <- mean + scale * N(0, 1)."""
        with torch.no_grad():
            noise = torch.randn(self.alpha.shape, generator=generator)
            self.alpha.copy_(noise.mul_(scale).add_(mean))

    def current_alpha(self) -> torch.Tensor:
        """alpha, (edges, operations), detached and on the host."""
        return self.alpha.detach().cpu()

    def logits(self) -> torch.Tensor:
        """alpha with -inf where an edge does not allow the operation; shape (edges, operations)."""
        return self.alpha.masked_fill(~self.mask, -torch.inf)

    def choice(self, edge: int, operation: int) -> str | int:
        """NNI's name of operation number ``operation`` (a column of alpha) of an edge."""
        return self.choices[edge][self.allowed[edge].index(operation)]

    def sample(self, operations: Sequence[int]) -> dict[str, str | int]:
        """An NNI sample, {label: candidate}, of one operation (column of alpha) an edge."""
        return {
            label: self.choice(edge, k)
            for edge, (label, k) in enumerate(zip(self.labels, operations, strict=True))
        }

    def by_label(self, table: torch.Tensor) -> dict[str, dict[str, float]]:
        """Spell a (edges, operations) table out as {NNI label: {operation: value}}, allowed entries
        only.
        """
        return self._spell(self.labels, table)

    def by_edge(self, table: torch.Tensor) -> dict[str, dict[str, float]]:
        """Spell a (edges, operations) table out as {edge: {operation: value}}, allowed entries
        only.
        """
        return self._spell(self.edges, table)

    def _spell(self, keys: Sequence[str], table: torch.Tensor) -> dict[str, dict[str, float]]:
        rows = table.detach().cpu().tolist()
        return {
            key: {self.operations[k]: row[k] for k in allowed}
            for key, row, allowed in zip(keys, rows, self.allowed, strict=True)
        }
