"""From a config to the parts of a training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nni_wiring.data import (
    BatchLoader,
    ImageData,
    Loaders,
    ResidentImages,
    Split,
    build_loaders,
    held_data,
    training_split,
)
from nni_wiring.errors import BenchmarkError, ConfigError
from nni_wiring.records import DerivedCell, Truth
from nni_wiring.search.assemble import choose_device
from nni_wiring.train.arch import Operations
from nni_wiring.train.config import TrainConfig
from nni_wiring.train.network import FixedNetwork, fixed_network
from nni_wiring.truth import table_for
from nni_wiring.truth.catalogue import benchmark_for
from search_spaces.cell_graph import Wiring
from search_spaces.nni_api import pl
from search_spaces.registry import SpaceEntry


@dataclass(frozen=True)
class TrainingParts:
    """The parts of one training, put together and not yet trained.

    Attributes:
        config: what they were made from.
        data: the images, and what has to be said beside results on them.
        loaders: batches for the weights (``train``).
        held_out: images in order and without augmentation, by part: "valid", the search part of
            the split, and "test", the test images that are in no part of it, nor of the data's own
            valid part.
        network: on the device.
        device: where to train.
    """

    config: TrainConfig
    data: ImageData
    loaders: Loaders
    held_out: dict[str, BatchLoader]
    network: FixedNetwork
    device: torch.device


def images_of(config: TrainConfig) -> ImageData:
    """The images of a training, held in memory for others on the same."""
    images = config.data_settings
    return held_data(images.data, images.data_dir, images.resize)


def assemble_training(config: TrainConfig, data: ImageData | None = None) -> TrainingParts:
    """Seed the process's generators, which the weights are drawn from, and make all parts.

    Args:
        config: the training.
        data: its images where they are in memory already.

    Raises:
        WiringError: one line; the device or the data are not there, or an option does not go with
            them.
    """
    training, images = config.training, config.data_settings
    pl.seed_everything(training.seed, verbose=False)
    device = choose_device(training.device)
    if data is None:
        data = images.load()
    division = training_split(data, images.split, training.seed)
    loaders = build_loaders(
        data,
        division,
        config.theta.batch_size,
        training.seed,
        device=device,
        augment=images.augment,
        cutout=images.cutout,
        max_steps=images.max_steps,
    )
    network = fixed_network(config, data.num_classes, data.image_shape).to(device)
    held_out = {"valid": loaders.evaluation}
    test = _test_loader(data, division, config.theta.batch_size, device)
    if test is not None:
        held_out["test"] = test
    return TrainingParts(config, data, loaders, held_out, network, device)


def _test_loader(
    data: ImageData, division: Split, batch_size: int, device: torch.device
) -> BatchLoader | None:
    """The test images that no part of the split has; None where there are none."""
    if data.test_images is None or data.test_labels is None:
        return None
    free = torch.ones(len(data.test_images), dtype=torch.bool)
    free[: data.valid_images] = False
    if division.search_in_test:
        free[division.search_indices] = False
    if not free.any():
        return None
    images = ResidentImages(
        data.test_images, data.test_labels, data.mean, data.std, data.padding, device
    )
    return BatchLoader(images, free.nonzero().flatten(), batch_size)


def dataset_of(config: TrainConfig, usual: str) -> str:
    """The data set whose truth stands beside a training; usual: that of its images.

    Raises:
        ConfigError: the benchmark has not the one that was asked for.
    """
    try:
        benchmark = benchmark_for(config.space.benchmark, config.training.benchmark)
        return benchmark.shown_dataset(config.training.dataset, usual)
    except BenchmarkError as error:
        raise ConfigError(f"dataset: {error}") from None


def describe_cell(config: TrainConfig) -> dict[str, DerivedCell]:
    """The trained cell of every kind, with its topology; its truth where a table has it."""
    entry, truth = config.space, truth_of(config)
    cells = {}
    for kind in entry.kinds:
        operations = _of_kind(entry, config.cell, kind)
        topology = Wiring.from_edges(operations, entry.graph).topology()._asdict()
        arch = config.training.arch
        cells[kind] = DerivedCell(kind, operations, entry.graph, arch, dict(topology), truth)
    return cells


def truth_of(config: TrainConfig) -> Truth | None:
    """The benchmark's word on the cell; None where no table has it.

    Raises:
        BenchmarkError: the table that was asked for is not there.
    """
    entry, named = config.space, config.training.benchmark
    benchmark = entry.truth_benchmark({edge: [name] for edge, name in config.cell.items()})
    try:
        table = table_for(benchmark, named)
    except BenchmarkError:
        if named is not None:
            raise
        return None
    if table is None:
        return None
    codec = table.benchmark.codec
    return table.truth(codec.spell(codec.indices(config.cell.values())))


def _of_kind(entry: SpaceEntry, cell: Operations, kind: str) -> Operations:
    if len(entry.kinds) == 1:
        return dict(cell)
    prefix = f"{kind}/"
    return {e.removeprefix(prefix): name for e, name in cell.items() if e.startswith(prefix)}
