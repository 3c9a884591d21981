"""A table's numbers by the names of the official APIs: training, images, length, seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api.names import names_of
from nni_wiring.truth.curves import CurveFile, CurveKey
from nni_wiring.truth.formulas import flops, parameters
from nni_wiring.truth.metrics import Metric
from nni_wiring.truth.sources.official_records import IMAGES
from nni_wiring.truth.table import TruthTable


class Training(NamedTuple):
    """One cell trained on one data set for one length, with all its seeds."""

    cell: int
    run: str
    epochs: int

    def __str__(self) -> str:
        return f"cell {self.cell}, training {self.run} of {self.epochs} epochs"


class Figures(dict[str, Any]):
    """Figures by their official names; one that the table lacks is not in it, and asking for it by
    ``[]`` raises the BenchmarkError that names it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lacking: dict[str, str] = {}

    def ask(self, key: str, get: Callable[..., object], *arguments: object) -> None:
        """Take what ``get`` returns, or keep the line of its BenchmarkError for later."""
        try:
            self[key] = get(*arguments)
        except BenchmarkError as error:
            self.lack([key], error)

    def lack(self, keys: Iterable[str], error: BenchmarkError) -> None:
        """Keep the line that says why these figures are not there."""
        self._lacking |= dict.fromkeys(keys, str(error))

    def __missing__(self, key: str) -> object:
        if key in self._lacking:
            raise BenchmarkError(self._lacking[key])
        raise KeyError(key)


class Trainings:
    """All that a table knows of trainings of NAS-Bench-201's cells; BenchmarkError for the rest.

    Attributes:
        names: of the trainings. table: that answers.
    """

    def __init__(self, table: TruthTable) -> None:
        self.names = names_of(table.benchmark, table.name)
        self.table = table
        self._sizes: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    @cached_property
    def _curves(self) -> CurveFile | None:
        return self.table.curves if self.table.info.get("curves") else None

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of training that the table has something of, in epochs."""
        return tuple(sorted({key.epochs for key in self.table.metrics}))

    @cached_property
    def archs(self) -> list[str]:
        """The text of every cell, by official index."""
        texts = self.table.benchmark.codec.archs
        return [texts[code] for code in self.table.codes.tolist()]

    @cached_property
    def index_of_arch(self) -> dict[str, int]:
        """The official index of every cell's text."""
        return {arch: index for index, arch in enumerate(self.archs)}

    @cached_property
    def evaluated(self) -> list[int]:
        """The cells that the table has any value of."""
        known = np.zeros(len(self.table), bool)
        for metric in self.table.data.metrics.values():
            known |= np.isfinite(metric.mean)
        return np.flatnonzero(known).tolist()

    def length(self, hp: str | int) -> int:
        """A length of training from the API's ``hp``."""
        if str(hp) not in map(str, self.lengths):
            known = ", ".join(map(str, self.lengths)) or "none"
            raise BenchmarkError(
                f"table {self.table.name!r} has no training of {hp!r:.20} epochs; it has: {known}"
            )
        return int(hp)

    def training(self, index: int, run: object, epochs: int) -> Training:
        """A training by name; BenchmarkError unless the table's benchmark has it."""
        if run not in self.names.runs:
            raise BenchmarkError(
                f"unknown training {run!r:.40} of table {self.table.name!r}; allowed: "
                f"{', '.join(self.names.runs)}"
            )
        return Training(index, str(run), epochs)

    def seeds(self, training: Training) -> list[int]:
        """The seeds that are known by number, ascending; none where the table has only a mean."""
        index, run, epochs = training
        if self._curves is not None:
            return self._curves.seeds(index, CurveKey(run, "train", "accuracy", epochs))
        found: set[int] = set()
        for images in self.names.evaluated[run]:
            metric = self._column(training, images, epochs - 1)
            if metric is not None and metric.seeds is not None:
                found |= {seed for seed in metric.seeds[:, index].tolist() if seed}
        return sorted(found)

    def value(
        self, training: Training, images: str, quantity: str, epoch: int, seed: int | None
    ) -> float:
        """Accuracy in percent or loss on some images after an epoch, counted from 0.

        Args:
            images: one of IMAGES.
            quantity: "accuracy" or "loss".
            seed: None for the mean over seeds.
        """
        if seed is None:
            mean = self._mean(training, images, quantity, epoch)
            if mean is not None:
                return mean
        else:
            points = self._points(training, images, quantity, epoch)
            if seed in points:
                return points[seed]
        which = "" if seed is None else f", seed {seed}"
        raise BenchmarkError(
            f"table {self.table.name!r} has no {quantity} on {images} after epoch {epoch} "
            f"({training}{which})"
        )

    def _mean(self, training: Training, images: str, quantity: str, epoch: int) -> float | None:
        """The mean over all seeds; None if one of them lacks it, as a loss that ran away does."""
        if self._curves is not None:
            points = self._points(training, images, quantity, epoch)
            whole = points and len(points) == len(self.seeds(training))
            return float(np.mean(list(points.values()))) if whole else None
        metric = self._column(training, images, epoch) if quantity == "accuracy" else None
        if metric is None:
            return None
        value = float(metric.mean[training.cell])
        return None if math.isnan(value) else value

    def _points(
        self, training: Training, images: str, quantity: str, epoch: int
    ) -> dict[int, float]:
        index, run, epochs = training
        if self._curves is not None:
            return self._curves.points(index, CurveKey(run, images, quantity, epochs), epoch)
        metric = self._column(training, images, epoch) if quantity == "accuracy" else None
        if metric is None or metric.trials is None or metric.seeds is None:
            return {}
        entries = zip(
            metric.seeds[:, index].tolist(), metric.trials[:, index].tolist(), strict=True
        )
        return {seed: value for seed, value in entries if seed and value == value}

    def _column(self, training: Training, images: str, epoch: int) -> Metric | None:
        """The accuracies after an epoch: the last one, or where the lengths of training are points
        of one curve, any that is tabulated.
        """
        column = self.names.columns.get((training.run, images))
        if column is None:
            return None
        one_curve = self.table.benchmark.dataset(column[0]).protocol.one_curve
        if not one_curve and epoch != training.epochs - 1:
            return None
        return self.table.data.metrics.get(self.table.key(*column, epoch + 1))

    def seconds(self, training: Training, what: str, epochs: int = 1) -> float:
        """Seconds of some epochs over train, or of as many passes over other images; or "latency"
        of one forward batch of 256 images.
        """
        key = self.names.cost(training.run, what)
        column = self.table.data.costs.get(key)
        if column is None or math.isnan(column[training.cell]):
            thing = "latency" if what == "latency" else f"seconds on {what}"
            raise BenchmarkError(f"table {self.table.name!r} has no {thing} ({training})")
        return float(column[training.cell]) * epochs

    @property
    def has_sizes(self) -> bool:
        """True where the sizes of the networks are known."""
        return self.table.benchmark.parameters is not None

    def size(self, index: int, run: str) -> tuple[float, float]:
        """Millions of parameters and of multiply-adds, in closed form; BenchmarkError where the
        benchmark has none.
        """
        if not self.has_sizes:
            raise BenchmarkError(
                f"table {self.table.name!r} has no parameters and multiply-adds ({run})"
            )
        dataset = self.names.datasets[run]
        if dataset not in self._sizes:
            cells = self.table.operations
            self._sizes[dataset] = parameters(cells, dataset), flops(cells, dataset)
        size, work = self._sizes[dataset]
        return int(size[index]) / 1e6, int(work[index]) / 1e6

    def config(self, index: int, run: str) -> Figures:
        """The network of a cell, as the official APIs describe it."""
        protocol = self.table.benchmark.dataset(self.names.datasets[run]).protocol
        found = Figures()
        found |= {
            "name": "infer.tiny",
            "C": protocol.channels,
            "N": protocol.cells,
            "arch_str": self.archs[index],
        }
        found.ask("num_classes", self._classes, run)
        return found

    def _classes(self, run: str) -> int:
        if run not in self.names.classes:
            raise BenchmarkError(f"table {self.table.name!r} has no number of classes ({run})")
        return self.names.classes[run]

    def figures(
        self, training: Training, images: str, iepoch: int | None, seed: int | None
    ) -> Figures:
        """Loss, accuracy and seconds on some images after one epoch.

        Args:
            images: one of IMAGES, or "valid" for x-valid.
            iepoch: from 0; None for the last.
            seed: None for the mean over seeds.

        Raises:
            BenchmarkError: the table has neither loss nor accuracy there, or there is no such
                epoch or set of images.
        """
        images = "x-valid" if images == "valid" else images
        epoch = training.epochs - 1 if iepoch is None else iepoch
        if images not in IMAGES:
            raise BenchmarkError(f"unknown images {images!r:.40}; allowed: {', '.join(IMAGES)}")
        if not 0 <= epoch < training.epochs:
            raise BenchmarkError(f"iepoch {epoch}: allowed is 0..{training.epochs - 1}")
        found = Figures()
        found["iepoch"] = float(epoch) if seed is None else epoch
        for quantity in ("loss", "accuracy"):
            found.ask(quantity, self.value, training, images, quantity, epoch, seed)
        if "loss" not in found:
            found["accuracy"]  # raises the line that names it
        found.ask("cur_time", self.seconds, training, images)
        found.ask("all_time", self.seconds, training, images, epoch + 1)
        return found
