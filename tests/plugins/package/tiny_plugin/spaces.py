"""A space with options of its own: a chain of ``knots`` triangular cells."""

import torch
from pydantic import Field
from torch import nn

from search_spaces.cell_graph import CellGraph
from search_spaces.nni_api import ModelSpace
from search_spaces.registry import SpaceEntry
from search_spaces.settings import SpaceSettings
from search_spaces.wiring_cell import WiringCell

TRIANGLE = CellGraph((0,), 3, ((0, 1), (0, 2), (1, 2)), (2,))
OPERATIONS = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")


class TriangleSettings(SpaceSettings):
    """width: channels of all cells. knots: number of cells."""

    width: int = Field(default=4, ge=1)
    knots: int = Field(default=2, ge=1)


class TriangleSpace(ModelSpace):
    """Stem, cells, pool, linear."""

    def __init__(
        self,
        operations: dict[str, tuple[str, ...]],
        num_classes: int,
        width: int,
        knots: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.cells = nn.Sequential(
            *(WiringCell(TRIANGLE, width, operations=operations) for _ in range(knots))
        )
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.cells(self.stem(images)).mean(dim=(2, 3)))


SPACE = SpaceEntry(
    "tiny_triangle",
    "three nodes, three operations; no truth",
    TRIANGLE,
    builder=TriangleSpace,
    candidates=OPERATIONS,
    settings=TriangleSettings,
)
