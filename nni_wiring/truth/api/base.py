"""The methods that both official classes have."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api import cell_text
from nni_wiring.truth.api.described import lines
from nni_wiring.truth.api.more_info import more_info
from nni_wiring.truth.api.opening import open_table
from nni_wiring.truth.api.results import ArchResults, Seed, no_weights
from nni_wiring.truth.api.trainings import Figures, Trainings


class InfosByArch(Mapping[int, dict[str, ArchResults]]):
    """``{cell: {hp: ArchResults}}`` of the cells that a table has; nothing is built beforehand."""

    def __init__(self, trainings: Trainings) -> None:
        self._trainings = trainings
        self._cells = dict.fromkeys(trainings.evaluated)

    def __getitem__(self, index: int) -> dict[str, ArchResults]:
        if index not in self._cells:
            raise KeyError(index)
        lengths = self._trainings.lengths
        return {str(hp): ArchResults(self._trainings, index, hp) for hp in lengths}

    def __iter__(self) -> Iterator[int]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


class TableAPI:
    """Answers of the official classes from a truth table.

    Defaults are theirs: ``hp="12"`` is the short training, ``is_random=True`` draws one seed by
    Python's ``random``, as they do. For the numbers that papers report ask for ``hp="200"`` and
    ``is_random=False``. Values come from float32; sizes are computed, not stored.
    """

    str2lists = staticmethod(cell_text.str2lists)
    str2matrix = staticmethod(cell_text.str2matrix)

    def __init__(self, source: object, verbose: bool) -> None:
        table = open_table(source)
        self._trainings = Trainings(table)
        self.filename = table.info.get("path", table.name)
        self.verbose = verbose  # as the script set it; nothing is printed here
        self.meta_archs = self._trainings.archs
        self.archstr2index = self._trainings.index_of_arch
        self.evaluated_indexes: list[int] | set[int] = self._trainings.evaluated
        self.arch2infos_dict = InfosByArch(self._trainings)
        self.reset_time()

    def __len__(self) -> int:
        return len(self.meta_archs)

    def __getitem__(self, index: int) -> str:
        return self.meta_archs[index]

    def __repr__(self) -> str:
        count = f"{len(self.evaluated_indexes)}/{len(self)} architectures"
        return f"{type(self).__name__}({count}, file={self.filename})"

    @property
    def avaliable_hps(self) -> list[str]:
        """The lengths of training that the table has, spelt as in the official classes."""
        return [str(hp) for hp in self._trainings.lengths]

    @property
    def used_time(self) -> float:
        """Seconds that ``simulate_train_eval`` has charged since ``reset_time``."""
        return self._used_time

    def reset_time(self) -> None:
        """Start to charge from 0 seconds."""
        self._used_time = 0.0

    def random(self) -> int:
        """The index of a random cell."""
        return random.randint(0, len(self) - 1)

    def arch(self, index: int) -> str:
        """The text of a cell."""
        return self.meta_archs[self._index(index)]

    def query_index_by_arch(self, arch: object) -> int:
        """The index of a cell's text, of an object with ``tostr``, or of an index (checked).

        Returns:
            -1 for what is no cell.

        Raises:
            BenchmarkError: an index that does not exist.
        """
        if isinstance(arch, (int, np.integer)):
            if not 0 <= arch < len(self):
                raise BenchmarkError(f"cell index {arch}: allowed is 0..{len(self) - 1}")
            return int(arch)
        text = arch.tostr() if hasattr(arch, "tostr") else arch
        return self.archstr2index.get(text, -1) if isinstance(text, str) else -1

    def _index(self, arch: object) -> int:
        index = self.query_index_by_arch(arch)
        if index < 0:
            raise BenchmarkError(f"{arch!r:.200} is not a NAS-Bench-201 cell")
        return index

    def query_meta_info_by_index(self, arch_index: int, hp: str | int = "12") -> ArchResults:
        """All trainings of one length of a cell."""
        index = self._index(arch_index)
        results = ArchResults(self._trainings, index, self._trainings.length(hp))
        if index not in self.arch2infos_dict:
            name = self._trainings.table.name
            raise BenchmarkError(
                f"table {name!r} has no cell {index}: it holds a part of the cells"
            )
        return results

    def query_by_index(
        self, arch_index: int, dataname: str | None = None, hp: str | int = "12"
    ) -> Any:  # noqa: ANN401
        """All trainings of a cell, or those on one data set by seed."""
        info = self.query_meta_info_by_index(arch_index, hp)
        return info if dataname is None else info.query(dataname)

    def query_by_arch(self, arch: object, hp: str | int) -> str:
        """As ``query_info_str_by_arch``, under its old name."""
        return self.query_info_str_by_arch(arch, hp)

    def query_info_str_by_arch(self, arch: object, hp: str | int = "12") -> str:
        """A cell's mean figures as text."""
        index = self._index(arch)
        extra = f"arch-index={index}"
        return "\n".join(lines(self.query_meta_info_by_index(index, hp), extra, self._between))

    def show(self, index: int = -1) -> None:
        """Print the figures of one cell, or of all that the table has for a negative index."""
        indices = [self._index(index)] if index >= 0 else self._trainings.evaluated
        for one in indices:
            for hp in self._trainings.lengths:
                text = lines(self.query_meta_info_by_index(one, hp), None, self._between)
                print("\n".join([f"{'>' * 40} {hp:03d} epochs {'>' * 40}", *text]))
            print(f"{'<' * 40}{'-' * 12}{'<' * 40}")

    #: What stands between loss and accuracy in the text.
    _between: str

    def get_more_info(
        self,
        index: object,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        is_random: Seed = True,
    ) -> Figures:
        """Loss, accuracy and seconds on all images of a training after one epoch.

        Args:
            index: a cell.
            dataset: the training: cifar10-valid, cifar10, cifar100 or ImageNet16-120; of a table
                that was built, its data set.
            iepoch: from 0; None for the last.
            hp: length of the training.
            is_random: True draws one seed, False averages over all, a number is the seed.
        """
        info = self.query_meta_info_by_index(self._index(index), hp)
        if is_random is True:
            is_random = random.choice(info.get_dataset_seeds(dataset))
        return more_info(info, dataset, iepoch, is_random)

    def _simulate(
        self, arch: object, dataset: str, iepoch: int | None, hp: str | int, account_time: bool
    ) -> tuple[float, float, float, float]:
        """Validation accuracy of one drawn seed, latency, seconds charged, seconds used so far."""
        index = self._index(arch)
        names = self._trainings.names
        if dataset not in names.searched:
            known = ", ".join(names.searched)
            raise BenchmarkError(f"data set {dataset!r:.40}: allowed is {known}")
        run = names.searched[dataset]
        info = self.get_more_info(index, run, iepoch, hp)
        if "valid-accuracy" in info or "valtest" not in names.figures[run]:
            accuracy, last = info["valid-accuracy"], info
        else:  # before the last epoch only the union of validation and test images was measured
            accuracy, last = info["valtest-accuracy"], self.get_more_info(index, run, None, hp)
        seconds = info["train-all-time"] + last["valid-per-time"]
        latency = self.get_latency(index, dataset, hp)
        if account_time:
            self._used_time += seconds
        return accuracy, latency, seconds, self._used_time

    def get_net_config(self, index: object, dataset: str) -> dict[str, Any]:
        """The network of a cell: channels, cells a stage, text, classes."""
        cell = self._index(index)
        return self._trainings.config(cell, self._trainings.training(cell, dataset, 0).run)

    def get_net_param(
        self, index: object, dataset: str, seed: int | None, hp: str | int = "12"
    ) -> object:
        """Raise BenchmarkError: no table has weights."""
        raise no_weights(self._trainings)

    def clear_params(self, index: int, hp: str | int | None = None) -> None:
        """Do nothing: there are no weights to forget."""

    def reload(self, archive_root: str | None = None, index: int | None = None) -> None:
        """Raise BenchmarkError: a table is replaced as a whole."""
        raise BenchmarkError("reload: a table is replaced as a whole, by `benchmark import PATH`")

    def get_cost_info(self, index: int, dataset: str, hp: str | int = "12") -> Figures:
        """Millions of multiply-adds and parameters, seconds of a forward batch and of training."""
        return self.query_meta_info_by_index(index, hp).get_compute_costs(dataset)

    def get_latency(self, index: int, dataset: str, hp: str | int = "12") -> float:
        """Seconds of one forward batch of 256 images."""
        return self.query_meta_info_by_index(index, hp).get_latency(dataset)

    def statistics(self, dataset: str, hp: str | int) -> dict[int, int]:
        """The number of cells by their number of seeds: {seeds: cells}."""
        length = self._trainings.length(hp)
        counts = Counter(
            len(self._trainings.seeds(self._trainings.training(index, dataset, length)))
            for index in self._trainings.evaluated
        )
        return dict(counts)

    def _find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None,
        param_max: float | None,
        hp: str | int,
    ) -> tuple[int, float | None]:
        """The cell of the highest mean accuracy within the limits (in millions), the first of
        equals; (-1, None) if there is none. Cells that lack the accuracy are passed over.
        """
        length = self._trainings.length(hp)
        run, images = self._trainings.names.part(dataset, metric_on_set)
        best: tuple[int, float | None] = (-1, None)
        lacking: BenchmarkError | None = None
        for index in self._trainings.evaluated:
            training = self._trainings.training(index, run, length)
            if not self._within(index, run, flop_max, param_max):
                continue
            try:
                value = self._trainings.value(training, images, "accuracy", length - 1, None)
            except BenchmarkError as error:
                lacking = error
                continue
            if best[1] is None or best[1] < value:
                best = index, value
        if best[0] < 0 and lacking is not None:
            raise lacking
        return best

    def _within(
        self, index: int, run: str, flop_max: float | None, param_max: float | None
    ) -> bool:
        """True for a network within the limits; sizes are asked for where there is one."""
        if flop_max is None and param_max is None:
            return True
        params, flops = self._trainings.size(index, run)
        return (flop_max is None or flops <= flop_max) and (
            param_max is None or params <= param_max
        )
