"""From a config to the parts of a search: the one place where a config is taken apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nni_wiring.data import ImageData, Loaders, build_loaders, split
from nni_wiring.errors import ConfigError
from nni_wiring.search.config import RunConfig, shown_dataset
from nni_wiring.search.settings import DataSettings
from nni_wiring.search.task import ClassificationTask
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.truth import TruthTable, table_for
from nni_wiring.truth.provenance import Provenance, provenance_of
from search_spaces.nni_api import ModelSpace, pl
from search_spaces.registry import space_entry


@dataclass(frozen=True)
class Assembly:
    """The parts of one search, put together and not yet trained.

    Attributes:
        config: what they were made from.
        data: the images, and what has to be said beside results on them.
        loaders: their batches, on the device.
        space: the model space; ``strategy.mutate_model`` makes a supernet of it.
        strategy: the method.
        task: the training of theta.
        device: where to train.
        dataset: whose truth is shown.
        table: the truth; None where the space holds cells that no table knows.
    """

    config: RunConfig
    data: ImageData
    loaders: Loaders
    space: ModelSpace
    strategy: WiringStrategy
    task: ClassificationTask
    device: torch.device
    dataset: str
    table: TruthTable | None

    @property
    def provenance(self) -> Provenance | None:
        """The origin of the truth beside this search; None without a truth."""
        if self.table is None:
            return None
        options = self.config.flat()
        return provenance_of(options, self.table.benchmark, self.dataset, self.data.note)


def assemble(config: RunConfig) -> Assembly:
    """Seed the process's generators, which the weights are drawn from, and make all parts.

    Raises:
        WiringError: one line; the device, the data or the truth table is not there, or an option
            does not go with them.
    """
    run, images = config.run, config.data_settings
    pl.seed_everything(run.seed, verbose=False)
    device = choose_device(run.device)
    data = images.load()
    loaders = _loaders(images, config.theta.batch_size, run.seed, data, device)
    return Assembly(
        config=config,
        data=data,
        loaders=loaders,
        table=truth_for(config),
        space=config.build_space(loaders.num_classes),
        strategy=config.build_strategy(),
        task=ClassificationTask(config, loaders.steps),
        device=device,
        dataset=shown_dataset(config, data.truth_dataset),
    )


def choose_device(name: str) -> torch.device:
    """``auto``: CUDA where there is one. Raises ConfigError for CUDA where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda is not available on this machine; allowed: auto, cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def truth_for(config: RunConfig) -> TruthTable | None:
    """The truth table of a search, or None where its space holds cells that no table knows."""
    run, operations = config.run, config.space_settings.operations
    return table_for(space_entry(run.space).truth_benchmark(operations), run.benchmark)


def _loaders(
    settings: DataSettings, batch_size: int, seed: int, data: ImageData, device: torch.device
) -> Loaders:
    return build_loaders(
        data,
        split(data, settings.split, seed),
        batch_size,
        seed,
        device=device,
        augment=settings.augment,
        cutout=settings.cutout,
        max_steps=settings.max_steps,
    )
