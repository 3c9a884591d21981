"""A search space of your own: a chain of ``knots`` triangular cells with three operations."""

import torch
from pydantic import Field
from torch import nn

from search_spaces.cell_graph import CellGraph
from search_spaces.constraints import EdgeOperations
from search_spaces.nni_api import ModelSpace
from search_spaces.registry import SpaceEntry, register_space
from search_spaces.settings import SpaceSettings
from search_spaces.wiring_cell import WiringCell

TRIANGLE = CellGraph(inputs=(0,), nodes=3, edges=((0, 1), (0, 2), (1, 2)), outputs=(2,))


class TriangleSettings(SpaceSettings):
    """width: channels. knots: number of cells. Both are options of `search --set` from now on."""

    width: int = Field(default=4, ge=1)
    knots: int = Field(default=2, ge=1)


class TriangleSpace(ModelSpace):
    """Stem, cells, mean over the pixels, linear."""

    def __init__(
        self, operations: EdgeOperations, num_classes: int, width: int, knots: int
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        cells = [WiringCell(TRIANGLE, width, operations=operations) for _ in range(knots)]
        self.cells = nn.Sequential(*cells)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) -> logits (n, num_classes)."""
        return self.classifier(self.cells(self.stem(images)).mean(dim=(2, 3)))


SPACE = SpaceEntry(
    "triangle",
    "three nodes, three operations, 27 cells; no truth",
    TRIANGLE,
    builder=TriangleSpace,
    candidates=("none", "skip_connect", "nor_conv_3x3"),
    settings=TriangleSettings,
)
register_space(SPACE)
