"""Partial channel connections and edge normalisation (PC-DARTS), for any relaxation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import nn

from nni_wiring.strategies.parts.base import CellKind
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.edge_weights import add_edge_weights
from nni_wiring.supernet.fused.sharing_cell import SharingPartialCell
from nni_wiring.supernet.partial_cell import ChannelShare, PartialCell
from search_spaces.cell_graph import CellGraph


class PartialChannels(CellKind):
    """Operations see 1/K of the channels (Xu et al., ICLR 2020, section 3.1); the output of edge e
    is softmax(beta)_e, over the edges into its node, times the mixture (section 3.2).

    divisor: K, at first. edge_scale: standard deviation of beta's normal initialisation; None: no
    edge weights. share: K as it is now. cells: those that were made.
    """

    def __init__(self, divisor: int, edge_scale: float | None = None) -> None:
        self.share = ChannelShare(divisor)
        self.edge_scale = edge_scale
        self.cells: list[PartialCell] = []

    def prepare(self, groups: Sequence[EdgeGroup]) -> None:
        """Give every group its beta."""
        super().prepare(groups)
        if self.edge_scale is not None:
            for group in groups:
                add_edge_weights(group, self.edge_scale)

    def factory(self, *, plain: bool) -> Callable[..., SupernetCell]:
        """Cells on 1/K of the channels; there is no fused form of them, but a sharing one."""
        return partial(self._make, PartialCell if plain else SharingPartialCell)

    def operations(self) -> Iterator[nn.Module]:
        """Every candidate of every cell."""
        for cell in self.cells:
            for edge, allowed in enumerate(cell.group.allowed):
                yield from (cell.operation(edge, k) for k in allowed)

    def _make(
        self,
        kind: type[PartialCell],
        graph: CellGraph,
        edges: nn.ModuleDict,
        group: EdgeGroup,
    ) -> PartialCell:
        self.cells.append(kind(graph, edges, group, self.share))
        return self.cells[-1]
