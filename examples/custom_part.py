"""A strategy with a part of your own, a relaxation. Run it:  python examples/custom_part.py"""

import torch

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.registry import register
from nni_wiring.strategies.settings import StrategySettings
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation


class TopTwo(Relaxation):
    """Softmax over the two likeliest operations of every edge, after a little exploring noise."""

    name = "top_two"

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """Z, and which operations run: those outside weigh nothing and are not computed."""
        noise = self.noise * torch.rand(group.alpha.shape, generator=generator)
        keys = (group.logits().detach().cpu() + noise).argsort(dim=-1, descending=True)
        best = [row[: min(2, len(a))] for row, a in zip(keys.tolist(), group.allowed, strict=True)]
        rest = torch.tensor([[k not in row for k in range(keys.shape[1])] for row in best])
        logits = group.alpha.masked_fill(rest.to(group.alpha.device), -torch.inf)
        return Draw(torch.softmax(logits, dim=-1), tuple(tuple(sorted(row)) for row in best))


class TopTwoSettings(StrategySettings):
    """noise: an option of `search --set` and of NNI's YAML files from now on."""

    noise: float = 0.1


@register
class TopTwoDARTS(WiringStrategy):
    """DARTS over two operations per edge."""

    name = "top_two"
    paper = "an example"
    Settings = TopTwoSettings

    def declare(self) -> Parts:
        """All parts are DARTS', but the relaxation."""
        return Parts(TopTwo(self.settings.noise))


if __name__ == "__main__":
    from nni_wiring.commands import main

    small = [f"--set={option}" for option in ("channels=4", "cells=1", "max_steps=10")]
    main(["search", "--strategy=top_two", "--epochs=2", *small])
