"""The macro network of DARTS-type cells (Liu, Simonyan & Yang, ICLR 2019), and S1's without
reduction cells (Xie et al., AISTATS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from search_spaces.cell_graph import CellGraph
from search_spaces.constraints import EdgeOperations, of_kind
from search_spaces.darts_operations import FactorizedReduce, build_darts_operation
from search_spaces.errors import SpaceError
from search_spaces.genotypes import DARTS_GRAPH
from search_spaces.nni_api import ModelSpace
from search_spaces.operations import ReLUConvBN
from search_spaces.wiring_cell import WiringCell

DartsHead = Literal["darts", "bias_free"]
STEM_MULTIPLIER = 3


class PreprocessedCell(nn.Module):
    """A DARTS-type cell behind the layers that bring its inputs to its own channels and size."""

    def __init__(self, preprocess: list[nn.Module], cell: WiringCell) -> None:
        super().__init__()
        self.preprocess = nn.ModuleList(preprocess)
        self.cell = cell

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The outputs of the one or two cells before, oldest first -> this cell's output."""
        ready = [layer(x) for layer, x in zip(self.preprocess, inputs, strict=True)]
        return self.cell(*ready)


class DartsSpace(ModelSpace):
    """Stem, a chain of cells, global average pool, linear classifier; no batch norm or ReLU after
    the last cell.

    graph: of every cell, or of the cells of each label, with one or two inputs (the outputs of as
    many cells before, equally many for all). cells: number of cells in all. reduction: whether the
    cells at one and two thirds of the depth halve the size and double the channels (DARTS; their
    label is ``reduce``, the others' ``normal``); without, all cells are alike and labelled ``cell``
    (S1). channels: C. head: ``darts`` (linear with bias) or ``bias_free`` (S1's, so that theory
    page section 1 fact 1 holds). affine, track_stats: of the batch norms in cells. operations:
    ``{edge: names}``, with reduction cells ``{"normal/<edge>" and "reduce/<edge>": names}``.
    """

    def __init__(
        self,
        operations: EdgeOperations,
        graph: CellGraph | Mapping[str, CellGraph] = DARTS_GRAPH,
        reduction: bool = True,
        num_classes: int = 10,
        channels: int = 16,
        cells: int = 8,
        head: DartsHead = "darts",
        affine: bool = False,
        track_stats: bool = False,
    ) -> None:
        super().__init__()
        least = 3 if reduction else 1
        if channels < 2 or cells < least or num_classes < 2:
            raise SpaceError(
                f"channels and num_classes must be at least 2 and cells at least {least}; "
                f"got channels={channels}, cells={cells}, num_classes={num_classes}"
            )
        if head not in ("darts", "bias_free"):
            raise SpaceError(f"head: {head!r} is not known; allowed: darts, bias_free")
        kinds = ("normal", "reduce") if reduction else ("cell",)
        graphs = dict.fromkeys(kinds, graph) if isinstance(graph, CellGraph) else graph
        self._graphs: Mapping[str, CellGraph] = graphs
        self._inputs = len(graphs[kinds[0]].inputs)
        self._operations = operations
        self._norm = {"affine": affine, "track_stats": track_stats}
        stem = STEM_MULTIPLIER * channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(stem)
        )
        reductions = {cells // 3, 2 * cells // 3} if reduction else set()
        history = [(stem, False)] * self._inputs  # (channels, half the size of the one before)
        self.layers = nn.ModuleList()
        for place in range(cells):
            reduces = place in reductions
            channels = channels * 2 if reduces else channels
            kind = ("reduce" if reduces else "normal") if reduction else "cell"
            self.layers.append(self._layer(kind, channels, history))
            history = [*history[1:], (channels * len(self._graphs[kind].outputs), reduces)]
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(history[-1][0], num_classes, bias=head == "darts")

    def _layer(self, kind: str, channels: int, history: list[tuple[int, bool]]) -> nn.Module:
        preprocess: list[nn.Module] = []
        last = len(history) - 1
        for place, (width, _) in enumerate(history):
            # the older input has the size from before the last cell's reduction
            if place < last and history[-1][1]:
                norm = nn.BatchNorm2d(
                    channels,
                    affine=self._norm["affine"],
                    track_running_stats=self._norm["track_stats"],
                )
                preprocess.append(FactorizedReduce(width, channels, norm))
            else:
                preprocess.append(ReLUConvBN(width, channels, 1, **self._norm))
        return PreprocessedCell(preprocess, self._cell(kind, channels))

    def _cell(self, kind: str, channels: int) -> WiringCell:
        graph, norm = self._graphs[kind], self._norm

        def build(name: str, edge: str) -> nn.Module:
            source = graph.edges[graph.edge_index(edge)][0]
            stride = 2 if kind == "reduce" and source in graph.inputs else 1
            return build_darts_operation(name, channels, stride=stride, **norm)

        return WiringCell(
            graph,
            channels,
            label=kind,
            operations=of_kind(self._operations, kind),
            build=build,
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) -> logits (n, num_classes); h and w divisible by 4."""
        x = self.stem(images)
        states = [x] * self._inputs
        for layer in self.layers:
            states = [*states[1:], layer(*states)]
        return self.classifier(self.pool(states[-1]).flatten(1))
