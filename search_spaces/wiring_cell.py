"""WiringCell: a cell graph as an NNI module, one LayerChoice per edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from search_spaces.cell_graph import CellGraph
from search_spaces.constraints import EdgeOperations, edge_operations
from search_spaces.nni_api import LayerChoice, MutableModule, label_scope
from search_spaces.operations import build_operation

#: Builds the module of an operation on an edge: (operation, edge name) -> module.
EdgeBuilder = Callable[[str, str], nn.Module]


def edge_label(edge: str) -> str:
    """The NNI label (without its scope) of an edge: "0-1" -> "0_1", as in NNI's hub."""
    return edge.replace("-", "_")


def edge_of_label(label: str) -> str:
    """The edge name of an NNI label: "cell/0_1" -> "0-1"; a label of another form is returned as it
    is.
    """
    source, _, target = label.rsplit("/", 1)[-1].partition("_")
    return f"{source}-{target}" if source.isdigit() and target.isdigit() else label


def run_cell(
    graph: CellGraph, edges: Mapping[str, nn.Module] | nn.ModuleDict, inputs: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Run a discrete cell: node j = sum of its edges' outputs; output = the output nodes,
    concatenated on channels.
    """
    states = list(inputs)
    for node in range(len(graph.inputs), graph.nodes):
        terms = [
            edges[name](states[source])
            for name, (source, target) in zip(graph.edge_names, graph.edges, strict=True)
            if target == node
        ]
        states.append(cast(torch.Tensor, sum(terms[1:], terms[0])))
    outputs = [states[node] for node in graph.outputs]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


class WiringCell(MutableModule):
    """A searchable cell: nodes joined by edges, each edge a ``LayerChoice`` labelled
    ``<label>/<source>_<target>``.

    Cells of one label share one choice, as in NNI's hub. Forward takes one tensor for every input
    node, each of shape (n, channels, h, w). Unfrozen it is NNI's dry run (first operation
    everywhere); frozen it is the discrete cell. build: makes the candidates where they are not
    those of NAS-Bench-201; affine and track_stats are then its own business.
    """

    def __init__(
        self,
        graph: CellGraph,
        channels: int,
        *,
        label: str = "cell",
        operations: EdgeOperations | None = None,
        affine: bool = False,
        track_stats: bool = False,
        build: EdgeBuilder | None = None,
    ) -> None:
        super().__init__()

        def build_nasbench201(name: str, edge: str) -> nn.Module:
            return build_operation(name, channels, affine=affine, track_stats=track_stats)

        self.graph = graph
        self.edges = nn.ModuleDict()
        allowed = edge_operations(graph, operations)
        with label_scope(label):
            for edge, names in allowed.items():
                candidates = {name: (build or build_nasbench201)(name, edge) for name in names}
                self.edges[edge] = LayerChoice(candidates, label=edge_label(edge))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """One (n, channels, h, w) tensor an input node -> (n, channels x output nodes, h, w)."""
        return run_cell(self.graph, self.edges, inputs)


class FixedCell(nn.Module):
    """The discrete cell that freezing a supernet cell gives: one operation per edge."""

    def __init__(self, graph: CellGraph, edges: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.graph = graph
        self.edges = nn.ModuleDict(dict(edges))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """One (n, channels, h, w) tensor an input node -> (n, channels x output nodes, h, w)."""
        return run_cell(self.graph, self.edges, inputs)


def freeze_edges(edges: nn.ModuleDict, sample: dict[str, Any]) -> dict[str, nn.Module]:
    """The operation that ``sample`` (label -> operation name) chooses on every edge."""
    return {name: cast(LayerChoice, choice).freeze(sample) for name, choice in edges.items()}
