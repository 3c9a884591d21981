"""The NAS-Bench-201 macro network over WiringCells (Dong & Yang, ICLR 2020; theory page, section
0).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from search_spaces.cell_graph import NB201
from search_spaces.constraints import EdgeOperations
from search_spaces.errors import SpaceError
from search_spaces.nni_api import ModelSpace
from search_spaces.operations import ReLUConvBN
from search_spaces.wiring_cell import WiringCell

Head = Literal["nasbench201", "bias_free"]


class ResidualBlock(nn.Module):
    """The residual block between stages: two 3x3 ReLU-conv-BN, the first with stride 2, beside an
    average-pooled 1x1.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(in_channels, out_channels, 3, stride=2)
        self.conv_b = ReLUConvBN(out_channels, out_channels, 3)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h / 2, w / 2)."""
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class NasBench201Space(ModelSpace):
    """Stem, then three stages of ``cells`` WiringCells at C, 2C, 4C channels with residual blocks
    between, then the head.

    num_classes: labels of the data. channels: C. cells: N, cells per stage. head: ``nasbench201``
    (BN-ReLU, global average pool, linear with bias; faithful) or ``bias_free`` (S1's: global
    average pool, linear without bias, nothing after the last cell, so that the costs of the last
    cell's output edges sum to L - H; theory page, section 1, facts 1 and 4). affine, track_stats:
    of the batch norms inside the cells. operations: ``{edge or "*": [allowed operations]}``.
    """

    def __init__(
        self,
        num_classes: int = 10,
        channels: int = 16,
        cells: int = 5,
        head: Head = "nasbench201",
        affine: bool = False,
        track_stats: bool = False,
        operations: EdgeOperations | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or cells < 1 or num_classes < 2:
            raise SpaceError(
                "channels and cells must be at least 1 and num_classes at least 2; "
                f"got channels={channels}, cells={cells}, num_classes={num_classes}"
            )
        if head not in ("nasbench201", "bias_free"):
            raise SpaceError(f"head: {head!r} is not known; allowed: nasbench201, bias_free")
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.layers = nn.ModuleList()
        for stage in range(3):
            width = channels * 2**stage
            if stage:
                self.layers.append(ResidualBlock(width // 2, width))
            for _ in range(cells):
                self.layers.append(
                    WiringCell(
                        NB201,
                        width,
                        operations=operations,
                        affine=affine,
                        track_stats=track_stats,
                    )
                )
        width = channels * 4
        if head == "nasbench201":
            self.lastact: nn.Module = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        else:
            self.lastact = nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, num_classes, bias=head == "nasbench201")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) -> logits (n, num_classes); SpaceError unless 4 divides h and w."""
        channels, height, width = images.shape[1:]
        if channels != 3 or height % 4 or width % 4:
            raise SpaceError(
                f"images of {channels}x{height}x{width}: the network halves them twice, so it "
                "takes 3 channels and multiples of 4 pixels"
            )
        x = self.stem(images)
        for layer in self.layers:
            x = layer(x)
        return self.classifier(self.pool(self.lastact(x)).flatten(1))
