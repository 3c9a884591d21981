"""Small cells trained by torch alone, stacked in one network, and on kernels of our own.

    python performance/cells.py --stack 4 8 16 32 --compile 8 --steps 20

CPU milliseconds of a training step (forward, backward, optimiser) per cell, one thread, on random
images of the size of data set ``clutter``. Stacked: so many cells of one wiring side by side in the
channels, their convolutions grouped, for one batch that all share: the best case of stacking.
Compiled: that step through torch.compile, whose own seconds are given beside it.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from nni_wiring.train.compact.network import CompactNetwork
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.loop import make_optimizer, train_step
from nni_wiring.train.network import FixedNetwork, build_network
from search_spaces.nasbench201 import NasBench201Space

#: An operation of every kind, one 3x3 convolution among them: the mean number is 1.2.
ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
SIDE, CLASSES, WARM = 16, 10, 3

Step = Callable[[], object]
LAYOUTS = {"nchw": torch.contiguous_format, "channels last": torch.channels_last}


class Stacked(nn.Module):
    """Several cells of one wiring: images (n, 3, h, w) -> logits (n, cells, classes)."""

    def __init__(self, network: nn.Module, cells: int) -> None:
        super().__init__()
        self.network = cast(NasBench201Space, copy.deepcopy(network))
        self.cells = cells
        for module in list(self.network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Conv2d):
                    setattr(module, name, self._conv(child, child is self.network.stem[0]))
                elif isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.BatchNorm2d(cells * child.num_features))
        last = self.network.classifier
        self.weight = nn.Parameter(last.weight.detach().repeat(cells, 1, 1))
        self.bias = nn.Parameter(last.bias.detach().repeat(cells, 1))
        self.network.classifier = nn.Identity()  # type: ignore[assignment]

    def _conv(self, conv: nn.Conv2d, shares_input: bool) -> nn.Conv2d:
        groups = 1 if shares_input else self.cells
        return nn.Conv2d(
            conv.in_channels * groups,
            conv.out_channels * self.cells,
            conv.kernel_size[0],
            stride=conv.stride[0],
            padding=conv.kernel_size[0] // 2,
            groups=groups,
            bias=False,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every cell for every image."""
        features = self.network(images).unflatten(1, (self.cells, -1))
        return torch.einsum("nkc,koc->nko", features, self.weight) + self.bias


def alone_step(config: TrainConfig, batch: tuple[Tensor, Tensor], layout: Any) -> Step:
    """The step of ``train``."""
    network = FixedNetwork(build_network(config, CLASSES), None)
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    images, labels = batch[0].to(memory_format=layout), batch[1]
    return lambda: train_step(network, optimizer, (images, labels), config.regularisation)


def stacked_step(
    config: TrainConfig, batch: tuple[Tensor, Tensor], cells: int, layout: Any, compiled: bool
) -> Step:
    """One step of all cells; the loss is the sum of their means."""
    network = Stacked(build_network(config, CLASSES), cells)
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    images, labels = batch[0].to(memory_format=layout), batch[1]
    repeated = labels.repeat_interleave(cells)

    def loss_of(images: Tensor) -> Tensor:
        logits = network(images).flatten(0, 1)
        return cells * nn.functional.cross_entropy(logits, repeated)

    loss = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def step() -> None:
        optimizer.zero_grad()
        loss(images).backward()
        optimizer.step()

    return step


def kernel_step(config: TrainConfig, batch: tuple[Tensor, Tensor]) -> Step:
    """The step of ``train_cells``."""
    network = CompactNetwork(build_network(config, CLASSES), (SIDE, SIDE), len(batch[0]))
    optimizer = make_optimizer(network, config)

    def step() -> None:
        network.train_step(*batch)
        optimizer.step()

    return step


def measured(step: Step, cells: int, steps: int) -> dict[str, float]:
    """Median milliseconds per step and cell, and the seconds of the steps that warm up."""
    began = time.process_time()
    for _ in range(WARM):
        step()
    warm, times = time.process_time() - began, []
    for _ in range(steps):
        began = time.process_time()
        step()
        times.append(time.process_time() - began)
    return {"ms": 1e3 * statistics.median(times) / cells, "warm_s": warm}


def ways_of(given: argparse.Namespace) -> dict[str, tuple[Callable[[], Step], int]]:
    """By name: what makes the step, and how many cells it trains."""
    config = make_train_config(
        {"arch": given.arch, "protocol": "clutter", "data": "clutter", "channels": given.channels}
    )
    batch = torch.randn(given.batch, 3, SIDE, SIDE), torch.randint(CLASSES, (given.batch,))
    ways: dict[str, tuple[Callable[[], Step], int]] = {
        "kernels": (partial(kernel_step, config, batch), 1)
    }
    for name, layout in LAYOUTS.items():
        ways[f"alone, {name}"] = partial(alone_step, config, batch, layout), 1
        for word, counts in (("stacked", given.stack), ("compiled", given.compile)):
            for cells in counts:
                compiled = word == "compiled"
                make = partial(stacked_step, config, batch, cells, layout, compiled)
                ways[f"{word} {cells}, {name}"] = make, cells
    return ways


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arch", default=ARCH)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--stack", type=int, nargs="*", default=[4, 8, 16, 32])
    parser.add_argument("--compile", type=int, nargs="*", default=[], help="as --stack, compiled")
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, (make, cells) in ways_of(given).items():
        found = measured(make(), cells, given.steps)
        print(f"{name:28} {found['ms']:7.2f} ms   warm-up {found['warm_s']:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
