"""Benchmark: the cells, data sets, metrics and protocol that a table's numbers belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.errors import BenchmarkError
from search_spaces.cell_codec import CellCodec
from search_spaces.cell_graph import CellGraph, Topology, codec_topology
from search_spaces.names import did_you_mean

SPLIT_TITLES: Mapping[str, str] = {"valid": "validation", "test": "test"}


class Measure(NamedTuple):
    """A quantity that a benchmark measured of a trained cell.

    Attributes:
        name: as a sentence has it ("accuracy", "mean IoU").
        unit: "%" or "" for a pure number.
        higher_is_better: which way cells are ranked.
        low, high: the range of honest values.
        decimals: digits that values are rounded to where they are shown.
    """

    name: str = "accuracy"
    unit: str = "%"
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 100.0
    decimals: int = 4

    @property
    def sign(self) -> float:
        """1 or -1: a value times its sign is larger for the better cell."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def label(self) -> str:
        """Name and unit, for a column or an axis: "accuracy %"."""
        return f"{self.name} {self.unit}".strip()


ACCURACY = Measure()


@dataclass(frozen=True)
class Protocol:
    """The training of every cell's network on one data set of a benchmark.

    Attributes:
        images: training images by split that they are judged on; empty where it is not known.
        epochs: lengths of training that are tabulated; the last is the one that counts.
        channels, cells: of the network: after the stem, and per stage.
        optimiser: one line for a reader.
        settings: the same as numbers, under the option names of a run.
        one_curve: whether the lengths are points of one training's curve; else each was trained
            on its own, with a schedule of its own.
    """

    images: Mapping[str, int]
    epochs: tuple[int, ...]
    channels: int
    cells: int
    optimiser: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    one_curve: bool = False

    @property
    def full_epochs(self) -> int:
        """The length of the training that counts."""
        return self.epochs[-1]

    def differences(self, config: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Options of a run in which a training of one cell departs from this one: {option: (the
        run's value, the benchmark's)}; an option that the run does not name is none.
        """
        own = {"channels": self.channels, "cells": self.cells, "epochs": self.full_epochs}
        return differing(config, {**own, **self.settings})


@dataclass(frozen=True)
class SearchProtocol:
    """The settings of the searches behind the published rows, under the option names of a run.

    Attributes:
        settings: what they have in common: the searched network.
        epochs: by strategy, where the published search is known.
        default_epochs: of a strategy that is not listed.
    """

    settings: Mapping[str, Any]
    epochs: Mapping[str, int]
    default_epochs: int

    def differences(self, config: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """As ``Protocol.differences``, for a search; longer than published is no difference."""
        found = differing(config, self.settings)
        published = self.epochs.get(str(config.get("strategy")), self.default_epochs)
        own = config.get("epochs")
        if isinstance(own, int) and own < published:
            found["epochs"] = (own, published)
        return found


def differing(config: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{option: (value, expected value)} for the options that ``config`` names and that differ."""
    return {
        option: (config[option], value)
        for option, value in expected.items()
        if config.get(option) is not None and config[option] != value
    }


@dataclass(frozen=True)
class Dataset:
    """One data set (or task) of a benchmark.

    Attributes:
        name: as users write it. title: as a reader knows it.
        measure: what was measured on it.
        protocol: how cells were trained on it.
        data: names of this package's data sets that hold the same images.
    """

    name: str
    title: str
    protocol: Protocol
    measure: Measure = ACCURACY
    data: tuple[str, ...] = ()


class PublishedRow(NamedTuple):
    """One published figure; ``std`` is None where the source gives none."""

    method: str
    dataset: str
    split: str
    mean: float
    std: float | None
    source: str


#: Parameters of each cell's network: (operation indices (..., edges), data set) -> (...).
Parameters = Callable[[ArrayLike, str], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """All that is known of every cell of one space, apart from the numbers themselves.

    Attributes:
        title: as a reader knows it.
        codec: its cells: graph, operations, index <-> operation indices <-> text. Its name is the
            benchmark's.
        datasets: in the order in which they are shown.
        splits: titles of the splits by name, in order.
        search: how the searches behind the published rows were run; None where there are none.
        published: accuracies that papers report.
        parameters: closed form of the network's size, where there is one.
        curves: (data set, split) -> (training, images) in the source's own names, where per-epoch
            curves exist.
        official_codes: ``module:function`` that gives the code of every official index, where that
            order is not the codes' own; imported when it is needed.
        bundled: name of the table that is always there; None where there is none.
        obtain: how to get another table, in half a sentence.
        same_cells_as: the benchmark whose cells these are, where a user measured them anew; None
            for cells of its own.
        space: name of the space whose cells the table holds, where those are not all cells.
    """

    title: str
    codec: CellCodec
    datasets: tuple[Dataset, ...]
    splits: Mapping[str, str] = field(default_factory=lambda: SPLIT_TITLES)
    search: SearchProtocol | None = None
    published: tuple[PublishedRow, ...] = ()
    parameters: Parameters | None = None
    curves: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    official_codes: str | None = None
    bundled: str | None = None
    obtain: str = "import one with `benchmark import PATH`"
    same_cells_as: str | None = None
    space: str | None = None

    @property
    def family(self) -> str:
        """The benchmark that a space of these cells names: this one, or ``same_cells_as``."""
        return self.same_cells_as or self.name

    @property
    def name(self) -> str:
        """As a space and a file name it."""
        return self.codec.name

    @property
    def graph(self) -> CellGraph:
        """The graph of every cell."""
        return self.codec.graph

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations by index."""
        return self.codec.operations

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.codec.size

    @property
    def topology(self) -> Topology:
        """Topology figures of all cells, by code."""
        return codec_topology(self.codec)

    @cached_property
    def dataset_names(self) -> tuple[str, ...]:
        """Names of the data sets, in order."""
        return tuple(dataset.name for dataset in self.datasets)

    @cached_property
    def dataset_titles(self) -> dict[str, str]:
        """{name: title} of the data sets."""
        return {dataset.name: dataset.title for dataset in self.datasets}

    @cached_property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(data set, split) of every column, in order."""
        return tuple((dataset, split) for dataset in self.dataset_names for split in self.splits)

    def order(self) -> NDArray[np.int64]:
        """(cells,) the code of every official index."""
        if self.official_codes is None:
            return np.arange(self.cells)
        module, function = self.official_codes.split(":")
        codes: NDArray[np.int64] = getattr(import_module(module), function)()
        return codes

    def in_order(self, operations: Sequence[str], p: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of a space's operations in the benchmark's order, for ``expectation``.

        Args:
            operations: the benchmark's names of p's columns.
            p: (edges, len(operations)), one row per edge in the graph's order.

        Returns:
            (edges, operations of the benchmark), every row normalised.

        Raises:
            SpaceError: an operation that the benchmark has not.
        """
        rows = np.asarray(p, dtype=np.float64)
        found = np.zeros((len(rows), len(self.operations)))
        for column, index in enumerate(self.codec.indices(operations)):
            found[:, index] += rows[:, column]
        return found / found.sum(axis=1, keepdims=True)

    def dataset(self, name: str) -> Dataset:
        """One data set; BenchmarkError naming the known ones."""
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        known = ", ".join(self.dataset_names)
        raise BenchmarkError(
            f"unknown data set {name!r} of {self.title}; allowed: {known}"
            f"{did_you_mean(name, self.dataset_names)}"
        )

    def shown_dataset(self, chosen: str | None, usual: str) -> str:
        """The data set whose numbers stand beside a search.

        Args:
            chosen: by the user; None for no choice.
            usual: the one that goes with the searched data; it may be another benchmark's, then the
                first one stands in.

        Raises:
            BenchmarkError: the benchmark does not have the chosen one.
        """
        if chosen is not None:
            return self.dataset(chosen).name
        return usual if usual in self.dataset_names else self.dataset_names[0]

    def check(self, dataset: str, split: str) -> None:
        """Raise BenchmarkError unless both names are known."""
        self.dataset(dataset)
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise BenchmarkError(
                f"unknown split {split!r} of {self.title}; allowed: {known}"
                f"{did_you_mean(split, self.splits)}"
            )

    def measure(self, dataset: str) -> Measure:
        """The measures on a data set."""
        return self.dataset(dataset).measure

    def full_epochs(self, dataset: str) -> int:
        """The length of the training that counts on a data set."""
        return self.dataset(dataset).protocol.full_epochs

    def column_title(self, dataset: str, split: str) -> str:
        """``CIFAR-10 validation`` and the like; a name that is not known stands as it is."""
        title = self.dataset_titles.get(dataset, dataset)
        return f"{title} {self.splits.get(split, split)}"

    def published_rows(self, dataset: str | None = None) -> list[PublishedRow]:
        """The published rows of one data set, or all; BenchmarkError for an unknown name."""
        if dataset is not None:
            self.dataset(dataset)
        return [row for row in self.published if dataset in (None, row.dataset)]
