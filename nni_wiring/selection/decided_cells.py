"""The cells of a supernet that is decided edge by edge: what stands, and what it leads to."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nni_wiring.selection.base import Cells
from nni_wiring.selection.genotype import darts_genotype
from nni_wiring.supernet.decisions import Decisions, decided_weights
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation
from search_spaces.genotypes import DARTS_GRAPH, Pairs, cell_pairs


class DecidedCells:
    """Which operation an edge has got, and which edges a node has lost.

    chosen: by group name, the operation (column of alpha) of every decided edge. dropped: by group
    name, the edges that DARTS cells have lost since. Both are plain values, to be kept in a file.
    """

    def __init__(self, groups: Sequence[EdgeGroup]) -> None:
        self.groups = {group.name: group for group in groups}
        self.chosen: dict[str, dict[int, int]] = {name: {} for name in self.groups}
        self.dropped: dict[str, list[int]] = {name: [] for name in self.groups}

    def decisions(self) -> dict[str, Decisions]:
        """The rows of Z that no longer follow alpha, by group name."""
        return {
            name: {**self.chosen[name], **dict.fromkeys(self.dropped[name])} for name in self.groups
        }

    def weights(self, relaxation: Relaxation) -> dict[str, torch.Tensor]:
        """Z of every group, (edges, operations): as decided, and p(alpha) of open edges."""
        decisions = self.decisions()
        return {
            name: decided_weights(relaxation.probabilities(group).detach(), decisions[name])
            for name, group in self.groups.items()
        }

    def masked(
        self, relaxation: Relaxation, group: str, edge: int, operation: int | None
    ) -> dict[str, torch.Tensor]:
        """``weights`` without one operation, or (None) without a whole edge; the other weights stay
        as they are.
        """
        weights = self.weights(relaxation)
        weights[group] = weights[group].clone()
        weights[group][edge, slice(None) if operation is None else operation] = 0
        return weights

    def live(self, group: str, node: int) -> list[int]:
        """The edges into a node of a DARTS cell that have not been dropped."""
        gone = self.dropped[group]
        return [edge for edge in DARTS_GRAPH.edges_into(node) if edge not in gone]

    def cells(self) -> Cells:
        """The operation of every edge; of a dropped edge ``none``, where it may have it."""
        return {name: self._cell(group) for name, group in self.groups.items()}

    def genotype(self) -> str | None:
        """The published form of DARTS' normal and reduction cells; None for other cells."""
        return darts_genotype(list(self.groups.values()), self._pairs)

    def _operations(self, group: EdgeGroup) -> list[int]:
        chosen = self.chosen[group.name]
        return [chosen.get(edge, allowed[0]) for edge, allowed in enumerate(group.allowed)]

    def _cell(self, group: EdgeGroup) -> list[int]:
        cell = self._operations(group)
        for edge in self.dropped[group.name]:
            if "none" in group.edge_operations[edge]:
                cell[edge] = group.operations.index("none")
        return cell

    def _pairs(self, group: EdgeGroup) -> Pairs:
        operations = [group.operations[k] for k in self._operations(group)]
        kept = {
            node: [group.edges[edge] for edge in self.live(group.name, node)]
            for node in DARTS_GRAPH.intermediate_nodes
        }
        return cell_pairs(dict(zip(group.edges, operations, strict=True)), kept)
