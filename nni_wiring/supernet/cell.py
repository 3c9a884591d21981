"""SupernetCell: the plain reference of the unified view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from search_spaces.cell_graph import CellGraph
from search_spaces.nni_api import BaseSuperNetModule, LayerChoice
from search_spaces.operations import Zero
from search_spaces.wiring_cell import FixedCell, freeze_edges

#: Called with a cell's Z before it enters the weighted sum; returns the tensor to use (same
#: values).
Tap = Callable[[torch.Tensor, Draw], torch.Tensor]

#: A row of Z, one scalar tensor per operation.
Weights = tuple[torch.Tensor, ...]


def is_zero(operation: nn.Module) -> bool:
    """True for the operation ``none`` (ours, or the one of NNI's hub): it is never computed."""
    return isinstance(operation, Zero) or bool(getattr(operation, "is_zero", False))


class SupernetCell(BaseSuperNetModule):
    """x_j = sum over edges i->j and operations k of Z[e, k] O_k(x_i); the output nodes are
    concatenated.

    Z comes from ``group.draw``, one tensor of shape (edges, operations) for all cells of the group.
    The parameters keep the names that they have in the search space
    (``edges.0-1.nor_conv_3x3...``), so every implementation of the cell shares one state_dict.
    ``tap`` lets a monitor see this cell's own Z, and with it dL/dZ of this cell alone.
    """

    def __init__(self, graph: CellGraph, edges: nn.ModuleDict, group: EdgeGroup) -> None:
        super().__init__()
        self.graph, self.edges = graph, edges
        self._group = (group,)  # in a tuple: owned, and registered, by the model space
        self.tap: Tap | None = None

    @property
    def group(self) -> EdgeGroup:
        """The edge group that this cell's Z comes from."""
        return self._group[0]

    def operation(self, edge: int, operation: int) -> nn.Module:
        """The candidate module of one entry of Z."""
        choice = cast(LayerChoice, list(self.edges.values())[edge])
        return choice[self.group.choice(edge, operation)]

    def current_draw(self) -> Draw:
        """The draw of this step, its Z passed through the tap where a monitor listens."""
        draw = self.group.draw
        if draw is None:
            raise RuntimeError(
                f"no Z was drawn for {self.group.name!r} before the forward pass: "
                "run the supernet through its strategy"
            )
        return draw if self.tap is None else draw._replace(z=self.tap(draw.z, draw))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """One (n, channels, h, w) tensor an input node -> (n, channels x output nodes, h, w)."""
        return self.unified(inputs, self.current_draw())

    def unified(self, inputs: Sequence[torch.Tensor], draw: Draw) -> torch.Tensor:
        """The formula of the class, term by term, for inputs and a draw that are given."""
        weights = [row.unbind() for row in draw.z.unbind()]
        states = list(inputs)
        for node in range(len(self.graph.inputs), self.graph.nodes):
            states.append(self.node_state(node, states, weights, draw))
        outputs = [states[node] for node in self.graph.outputs]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    def node_state(
        self, node: int, states: Sequence[torch.Tensor], weights: Sequence[Weights], draw: Draw
    ) -> torch.Tensor:
        """The sum of all that enters a node, from the states of the nodes before it."""
        total: torch.Tensor | None = None
        for edge, (source, target) in enumerate(self.graph.edges):
            if target != node:
                continue
            term = self.edge_output(edge, states[source], weights[edge], draw)
            if term is not None:
                total = term if total is None else total + term
        return self._zeros(node, states, draw) if total is None else total

    def _zeros(self, node: int, states: Sequence[torch.Tensor], draw: Draw) -> torch.Tensor:
        """A node that nothing but ``none`` enters, or that has lost all its edges; in a reduction
        cell it is smaller than the inputs.
        """
        entering = self.graph.edges_into(node)
        if not entering:
            return torch.zeros_like(states[0])
        edge = next((edge for edge in entering if draw.active[edge]), entering[0])
        active = draw.active[edge] or self.group.allowed[edge]
        operation, x = self.operation(edge, active[0]), states[self.graph.edges[edge][0]]
        return torch.zeros_like(x if type(operation) is Zero else operation(x))

    def edge_output(
        self, edge: int, x: torch.Tensor, weights: Weights, draw: Draw
    ) -> torch.Tensor | None:
        """The term one edge adds to its target: the mixture of its active operations, or None for
        zero. weights: the row of Z, one scalar tensor per operation.
        """
        return self.mixture(edge, x, weights, draw)

    def mixture(
        self, edge: int, x: torch.Tensor, weights: Weights, draw: Draw
    ) -> torch.Tensor | None:
        """sum_k Z[edge, k] O_k(x) over the active operations; None where only ``none`` is."""
        total: torch.Tensor | None = None
        for k in draw.active[edge]:
            operation = self.operation(edge, k)
            if not is_zero(operation):
                term = weights[k] * operation(x)
                total = term if total is None else total + term
        return total

    # What NNI asks of a supernet module. The strategy's selection decides; these answer for the
    # plain argmax.
    def resample(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Nothing to do: the strategy draws Z for all cells at once."""
        return {}

    def export(self, memo: dict[str, Any]) -> dict[str, Any]:
        """The operation of the largest alpha on every edge: {label: operation}."""
        sample = self.group.sample(self.group.logits().argmax(dim=-1).tolist())
        return {label: choice for label, choice in sample.items() if label not in memo}

    def export_probs(self, memo: dict[str, Any]) -> dict[str, Any]:
        """softmax(alpha) of every edge: {label: {operation: probability}}."""
        table = self.group.by_label(torch.softmax(self.group.logits(), dim=-1))
        return {label: row for label, row in table.items() if label not in memo}

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """The discrete cell of ``sample`` ({label: operation}), with the supernet's weights."""
        return FixedCell(self.graph, freeze_edges(self.edges, sample))
