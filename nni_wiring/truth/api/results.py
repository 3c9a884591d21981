"""One cell's trainings of one length, in the shape of the official ``ArchResults``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api.trainings import Figures, Training, Trainings
from nni_wiring.truth.curves import CurveKey

Seed = bool | int


class ResultsCount:
    """One training with one seed; figures are read when they are asked for."""

    def __init__(self, trainings: Trainings, training: Training, seed: int) -> None:
        self._trainings = trainings
        self._training = training
        self._number = seed
        self.name = training.run
        self.seed = f"{seed:04d}"
        self.epochs = training.epochs
        self.eval_names = list(trainings.names.evaluated[training.run])
        self.net_state_dict = None

    def __repr__(self) -> str:
        sets = ", ".join(self.eval_names)
        known = self._trainings.has_sizes
        size = f"FLOP={self.flop:.2f}M, Param={self.params:.3f}MB, " if known else ""
        return (
            f"ResultsCount({self.name}, arch={self.arch_config['arch_str']}, "
            f"{size}seed={self.seed}, "
            f"{len(self.eval_names)} eval-sets: [{sets}])"
        )

    @property
    def params(self) -> float:
        """Millions of parameters."""
        return self._trainings.size(self._training.cell, self.name)[0]

    @property
    def flop(self) -> float:
        """Millions of multiply-adds."""
        return self._trainings.size(self._training.cell, self.name)[1]

    @property
    def arch_config(self) -> Figures:
        """Channels, cells a stage, text and classes of the network."""
        config = self._trainings.config(self._training.cell, self.name)
        found = Figures()
        found |= {
            "channel": config["C"],
            "num_cells": config["N"],
            "arch_str": config["arch_str"],
        }
        found.ask("class_num", config.__getitem__, "num_classes")
        return found

    @property
    def latency(self) -> list[float]:
        """Seconds of one forward batch of 256 images, in a list."""
        return [self.get_latency()]

    @property
    def train_acc1es(self) -> dict[int, float]:
        """Training accuracy by epoch."""
        return {epoch: value for _, epoch, value in self._points("accuracy", ("train",))}

    @property
    def train_losses(self) -> dict[int, float]:
        """Training loss by epoch."""
        return {epoch: value for _, epoch, value in self._points("loss", ("train",))}

    @property
    def eval_acc1es(self) -> dict[str, float]:
        """Accuracy by ``images@epoch``."""
        points = self._points("accuracy", self.eval_names)
        return {f"{images}@{epoch}": value for images, epoch, value in points}

    @property
    def eval_losses(self) -> dict[str, float]:
        """Loss by ``images@epoch``."""
        points = self._points("loss", self.eval_names)
        return {f"{images}@{epoch}": value for images, epoch, value in points}

    def _points(self, quantity: str, sets: Sequence[str]) -> list[tuple[str, int, float]]:
        index, run, epochs = self._training
        curves = self._trainings.table.curves
        found = []
        for images in sets:
            curve = curves.get(index, CurveKey(run, images, quantity, epochs), self._number)
            found += [(images, i, v) for i, v in enumerate(curve.tolist()) if v == v]
        return found

    def get_total_epoch(self) -> int:
        """Length of the training."""
        return self.epochs

    def get_eval_set(self) -> list[str]:
        """The images that it was evaluated on."""
        return self.eval_names

    def get_latency(self) -> float:
        """Seconds of one forward batch of 256 images."""
        return self._trainings.seconds(self._training, "latency")

    def get_times(self) -> Figures:
        """Seconds of an epoch and of all epochs, of training and of each evaluation."""
        return times(self._trainings, self._training, Figures())

    def get_train(self, iepoch: int | None = None) -> Figures:
        """Loss, accuracy and seconds of training after an epoch; None for the last."""
        return self._trainings.figures(self._training, "train", iepoch, self._number)

    def get_eval(self, name: str, iepoch: int | None = None) -> Figures:
        """Loss, accuracy and seconds on some images after an epoch; None for the last."""
        return self._trainings.figures(self._training, name, iepoch, self._number)

    def get_config(self, str2structure: Callable[[str], object] | None) -> Figures:
        """The network; its cell as text, or as what ``str2structure`` makes of it."""
        config = self._trainings.config(self._training.cell, self.name)
        if str2structure is not None:
            config["genotype"] = str2structure(config.pop("arch_str"))
        return config

    def get_net_param(self, clone: bool = False) -> object:
        """Raise BenchmarkError: no table has weights."""
        raise no_weights(self._trainings)


class ArchResults:
    """All trainings of one length of one cell."""

    def __init__(self, trainings: Trainings, index: int, epochs: int) -> None:
        self._trainings = trainings
        self._epochs = epochs
        self.arch_index = index
        self.arch_str = trainings.archs[index]
        self.clear_net_done = True

    def __repr__(self) -> str:
        return (
            f"ArchResults(arch-index={self.arch_index}, arch={self.arch_str}, "
            f"{len(self.all_results)} runs, clear={self.clear_net_done})"
        )

    @property
    def dataset_seed(self) -> dict[str, list[int]]:
        """The known seeds of every training that has any."""
        seeds = {
            run: self._trainings.seeds(self._training(run)) for run in self._trainings.names.runs
        }
        return {run: known for run, known in seeds.items() if known}

    @property
    def all_results(self) -> dict[tuple[str, int], ResultsCount]:
        """Every single training by (data set, seed)."""
        return {
            (run, seed): ResultsCount(self._trainings, self._training(run), seed)
            for run, seeds in self.dataset_seed.items()
            for seed in seeds
        }

    def _training(self, dataset: str) -> Training:
        return self._trainings.training(self.arch_index, dataset, self._epochs)

    def figures_of(self, dataset: str) -> Mapping[str, str]:
        """The name of the figures of ``get_more_info`` -> the images that they belong to."""
        return self._trainings.names.figures[self._training(dataset).run]

    def shown_of(self, dataset: str) -> Mapping[str, str]:
        """The label of a figure in the text of a cell -> the images that it belongs to."""
        return self._trainings.names.shown[self._training(dataset).run]

    def get_dataset_names(self) -> list[str]:
        """The trainings that the cell has, by data set."""
        return list(self.dataset_seed)

    def get_dataset_seeds(self, dataset: str) -> list[int]:
        """The seeds of one training; BenchmarkError if none is known."""
        training = self._training(dataset)
        seeds = self._trainings.seeds(training)
        if not seeds:
            name = self._trainings.table.name
            raise BenchmarkError(
                f"table {name!r} knows no single seed ({training}); a mean, where there is one, "
                "is asked for with is_random=False"
            )
        return seeds

    def get_metrics(
        self, dataset: str, setname: str, iepoch: int | None = None, is_random: Seed = False
    ) -> Figures:
        """Loss, accuracy and seconds on some images after one epoch.

        Args:
            dataset: the training: cifar10-valid, cifar10, cifar100 or ImageNet16-120.
            setname: train, x-valid, x-test or ori-test.
            iepoch: from 0; None for the last.
            is_random: True draws one seed, False averages over all, a number is the seed.
        """
        training = self._training(dataset)
        seed = None
        if is_random is True:
            seeds = self.get_dataset_seeds(dataset)
            seed = seeds[random.randint(0, len(seeds) - 1)]
        elif is_random is not False:
            seed = self._known(dataset, is_random)
        return self._trainings.figures(training, setname, iepoch, seed)

    def _known(self, dataset: str, seed: object) -> int:
        seeds = self.get_dataset_seeds(dataset)
        if not isinstance(seed, int) or seed not in seeds:
            known = ", ".join(map(str, seeds))
            raise BenchmarkError(f"seed {seed!r:.20} of {self._training(dataset)}: it has {known}")
        return seed

    def get_compute_costs(self, dataset: str) -> Figures:
        """Millions of multiply-adds and parameters, seconds of a forward batch and of training."""
        training = self._training(dataset)
        found = Figures()
        sizes = ("params", "flops")
        try:
            found |= dict(
                zip(sizes, self._trainings.size(self.arch_index, training.run), strict=True)
            )
        except BenchmarkError as error:
            found.lack(sizes, error)
        found.ask("latency", self._trainings.seconds, training, "latency")
        return times(self._trainings, training, found)

    def get_latency(self, dataset: str) -> float:
        """Seconds of one forward batch of 256 images."""
        return self._trainings.seconds(self._training(dataset), "latency")

    def get_total_epoch(self, dataset: str | None = None) -> int:
        """Length of the training."""
        if dataset is not None:
            self._training(dataset)
        return self._epochs

    def query(self, dataset: str, seed: int | None = None) -> Any:  # noqa: ANN401
        """The single training of a seed; None for a dict of all of them by seed."""
        training = self._training(dataset)
        if seed is not None:
            return ResultsCount(self._trainings, training, self._known(dataset, seed))
        seeds = self.get_dataset_seeds(dataset)
        return {one: ResultsCount(self._trainings, training, one) for one in seeds}

    def arch_idx_str(self) -> str:
        """The index in six digits."""
        return f"{self.arch_index:06d}"

    def get_net_param(self, dataset: str, seed: int | None = None) -> object:
        """Raise BenchmarkError: no table has weights."""
        raise no_weights(self._trainings)

    def clear_params(self) -> None:
        """Do nothing: there are no weights to forget."""


def no_weights(trainings: Trainings) -> BenchmarkError:
    """The error of whoever asks for trained weights."""
    return BenchmarkError(f"table {trainings.table.name!r} has no weights, as no table here")


def times(trainings: Trainings, training: Training, found: Figures) -> Figures:
    """Add the seconds of an epoch and of all epochs, of training and of each evaluation."""
    for what in ("train", *trainings.names.evaluated[training.run]):
        found.ask(f"T-{what}@epoch", trainings.seconds, training, what)
        found.ask(f"T-{what}@total", trainings.seconds, training, what, training.epochs)
    return found
