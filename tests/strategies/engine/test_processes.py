"""Several processes: what would let alphas part is refused, all else averages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from one_shot import Batch, Task, bare_trainer, random_batches, search, tiny_space
from pytorch_lightning.callbacks import Callback

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni.nas.evaluator.pytorch import Lightning

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.strategies.registry import STRATEGIES

#: Alpha's gradient is computed beside the backward pass that processes average.
REFUSED: list[dict[str, Any]] = [
    {"name": "darts", "order": 2},
    {"name": "darts_plus", "order": 2},
    {"name": "dsnas"},
    {"name": "proxylessnas"},
    {"name": "enas"},
]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("case", [*REFUSED, {"name": "darts"}, {"name": "gdas"}], ids=str)
def test_updates_that_average_nothing_need_one_process(
    case: dict[str, Any], processes: int
) -> None:
    settings = dict(case)
    strategy = STRATEGIES[settings.pop("name")](**settings)
    model = strategy.mutate_model(tiny_space())
    module: Any = strategy.configure_oneshot_module(Task())
    module.set_model(model)
    module._trainer = SimpleNamespace(world_size=processes)
    if processes == 1 or case not in REFUSED:
        module.on_fit_start()
        return
    with pytest.raises(ConfigError, match=f"strategy {strategy.name}.* got 2 processes"):
        module.on_fit_start()


def test_a_monitor_records_no_shard() -> None:
    trainer: Any = SimpleNamespace(world_size=2)
    with pytest.raises(ConfigError, match="WiringMonitor: got 2 processes.*allowed: 1"):
        WiringMonitor().on_fit_start(trainer, Any)


class Shards:
    """Pairs of batches: a process of two gets its own, one process alone both."""

    def __init__(self, seed: int) -> None:
        both = zip(random_batches(3, seed), random_batches(3, seed + 1), strict=True)
        self.pairs = [tuple(map(torch.stack, zip(*pair, strict=True))) for pair in both]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Any]:
        alone = not torch.distributed.is_initialized()
        mine = slice(None) if alone else torch.distributed.get_rank()
        return iter([(images[mine], labels[mine]) for images, labels in self.pairs])


class MeanOverShards(Task):
    """The mean loss of the batches that it is given, each normalised by itself."""

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        images, labels = batch
        if labels.dim() == 1:
            return super().training_step(batch, batch_idx)
        losses = [
            Task.training_step(self, shard, batch_idx) for shard in zip(images, labels, strict=True)
        ]
        return torch.stack(losses).mean()


class Kept(Callback):
    """Writes the parameters that a process starts and ends with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, when: str, trainer: Any, module: Any) -> None:
        found = {name: value.detach() for name, value in module.named_parameters()}
        torch.save(found, self.folder / f"{when}-{trainer.world_size}-{trainer.global_rank}.pt")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.keep("start", trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.keep("end", trainer, pl_module)


def trained(folder: Path, name: str, **several: Any) -> None:
    """Three steps of a bi-level or single-level search, from the same start."""
    torch.manual_seed(0)
    trainer = bare_trainer(max_epochs=1, callbacks=[Kept(folder)], **several)
    loaders = {"train_dataloaders": Shards(1), "val_dataloaders": Shards(11)}
    search(STRATEGIES[name](), tiny_space(), Lightning(MeanOverShards(), trainer, **loaders))


@pytest.mark.parametrize("name", ["darts", "gdas", "snas"])
def test_two_gloo_processes_are_one_that_averages(name: str, tmp_path: Path) -> None:
    """Both end with the same parameters, those of one process that descends the mean loss of both
    batches: gradients of theta and of alpha are averaged.
    """
    two = {"strategy": "ddp_fork_find_unused_parameters_true", "devices": 2}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    try:
        with mock.patch.dict(os.environ):  # Lightning leaves the port of its processes there
            trained(tmp_path, name, **two, use_distributed_sampler=False)
            trained(tmp_path, name, devices=1)
    finally:
        torch.set_num_threads(threads)
    names = ("start-1-0", "end-1-0", "end-2-0", "end-2-1")
    start, one, first, second = (torch.load(tmp_path / f"{part}.pt") for part in names)
    for key, value in one.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], value, rtol=1e-5, atol=1e-7)
    moved = [key for key in one if not torch.equal(one[key], start[key])]
    assert any("alpha" in key for key in moved) and any("stem" in key for key in moved)
