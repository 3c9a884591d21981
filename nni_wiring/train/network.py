"""The network of one fixed cell, with what only training adds: drop path, the auxiliary head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.train.config import TrainConfig
from search_spaces.cell_graph import CellGraph
from search_spaces.nni_api import ModelSpace
from search_spaces.operations import Zero

#: Side of the images that the auxiliary head is made for, pixels.
AUXILIARY_SIDE = 32


def freeze_only_choice(space: ModelSpace) -> nn.Module:
    """The plain network of a space that leaves no choice: one operation for every edge."""
    sample = {label: choice.default() for label, choice in space.simplify().items()}
    return cast(nn.Module, space.freeze(sample))


def build_network(config: TrainConfig, num_classes: int) -> nn.Module:
    """The network of a training's cell, weights drawn from torch's generator."""
    return freeze_only_choice(config.space.build(config.space_settings, num_classes))


class DropPath:
    """A forward hook that drops the whole output of an operation, image by image, in training.

    What stays is divided by the probability of staying (Larsson et al., ICLR 2017, as in DARTS).
    """

    def __init__(self) -> None:
        self.probability = 0.0

    def __call__(self, module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        """The output (n, c, h, w), or zeros in its place."""
        if not module.training or self.probability == 0:
            return output
        keep = 1 - self.probability
        mask = output.new_empty(len(output), 1, 1, 1).bernoulli_(keep)
        return output / keep * mask


def droppable(network: nn.Module) -> Iterator[nn.Module]:
    """The operations on edges that drop path acts on: all but skips and ``none`` (DARTS)."""
    for module in network.modules():
        edges = getattr(module, "edges", None)
        if isinstance(edges, nn.ModuleDict) and isinstance(module.graph, CellGraph):
            for operation in edges.values():
                if not isinstance(operation, (nn.Identity, Zero)):
                    yield operation


class AuxiliaryHead(nn.Sequential):
    """DARTS' auxiliary classifier on features of 8x8 pixels (n, channels, 8, 8)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3, padding=0, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(768, num_classes),
        )


class FixedNetwork(nn.Module):
    """A fixed cell's network under training.

    Attributes:
        network: the network that is evaluated and taken away.
        auxiliary: the head behind the second reduction cell; None without one.
        drop_path: of the network's operations.
    """

    def __init__(self, network: nn.Module, auxiliary: AuxiliaryHead | None, place: int = 0) -> None:
        super().__init__()
        self.network, self.auxiliary = network, auxiliary
        self.drop_path = DropPath()
        self._features: torch.Tensor | None = None
        for operation in droppable(network):
            operation.register_forward_hook(self.drop_path)
        if auxiliary is not None:
            layers = cast(nn.ModuleList, network.layers)
            layers[place].register_forward_hook(self._keep)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) -> logits (n, classes)."""
        return self.network(images)

    def auxiliary_logits(self) -> torch.Tensor | None:
        """The head's logits (n, classes) for the images of the last forward pass in training."""
        features, self._features = self._features, None
        if self.auxiliary is None or features is None:
            return None
        return self.auxiliary(features)

    def _keep(self, module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        if module.training:
            self._features = output


def fixed_network(
    config: TrainConfig, num_classes: int, image_shape: tuple[int, int, int]
) -> FixedNetwork:
    """The network of a training, weights drawn from torch's generator.

    Raises:
        ConfigError: an auxiliary head where the space or the images have no place for one.
        SpaceError: channels or cells that the space cannot be built with.
    """
    wants_head = config.regularisation.auxiliary > 0
    if wants_head and "reduce" not in config.space.kinds:
        raise ConfigError(
            f"auxiliary: space {config.space.name} has no reduction cells, behind which the head "
            "(protocol darts) stands; allowed there: auxiliary=0"
        )
    if wants_head and image_shape[1:] != (AUXILIARY_SIDE, AUXILIARY_SIDE):
        height, width = image_shape[1:]
        raise ConfigError(
            f"auxiliary: the head (protocol darts) takes images of {AUXILIARY_SIDE}x"
            f"{AUXILIARY_SIDE}, the data are {height}x{width}; allowed for them: auxiliary=0"
        )
    network = build_network(config, num_classes)
    if not wants_head:
        return FixedNetwork(network, None)
    place = 2 * len(cast(nn.ModuleList, network.layers)) // 3
    width = 4 * int(config.space_settings.model_dump()["channels"])
    channels = width * len(config.space.graph.outputs)
    return FixedNetwork(network, AuxiliaryHead(channels, num_classes), place)
