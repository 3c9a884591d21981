"""In the place of ``nats_bench.create`` and ``nats_bench.NATStopology``."""

from __future__ import annotations

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api.base import TableAPI
from nni_wiring.truth.api.cell_text import unique_text
from nni_wiring.truth.api.results import Seed
from nni_wiring.truth.api.trainings import Figures

_NOTES = {
    "cifar10-valid": "trained on half of CIFAR-10's training images; test: its 10,000 test images",
    "cifar10": "trained on all of CIFAR-10's training images; test: its 10,000 test images",
}


class NATStopology(TableAPI):
    """The topology class of ``nats_bench`` 1.8, answered from a truth table.

    Args:
        file_path_or_dict: None for the default table, a table's name, a TruthTable, or the path of
            an official file or folder that was imported.
        fast_mode: kept as the script set it; a table is always fast.
        verbose: accepted, and nothing is printed.
    """

    _between = " & "
    is_size = False
    is_topology = True
    search_space_name = "topology"
    full_train_epochs = 200
    full_epochs_in_paper = 200
    archive_dir = None

    def __init__(
        self, file_path_or_dict: object = None, fast_mode: bool = False, verbose: bool = True
    ) -> None:
        super().__init__(file_path_or_dict, verbose)
        self.evaluated_indexes = set(self.evaluated_indexes)
        self.fast_mode = fast_mode

    def reset_fast_mode(self, fast_mode: bool) -> None:
        """Keep another setting; a table is always fast."""
        self.fast_mode = fast_mode

    def get_unique_str(self, arch: object) -> str:
        """A text that isomorphic cells share."""
        return unique_text(self.meta_archs[self._index(arch)])

    def get_more_info(
        self,
        index: object,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        is_random: Seed = True,
    ) -> Figures:
        """As in NAS-Bench-201, with a comment on CIFAR-10, whose two trainings are mixed up."""
        found = super().get_more_info(index, dataset, iepoch, hp, is_random)
        if dataset in _NOTES:
            found["comment"] = f"{_NOTES[dataset]}; {hp} epochs"
        return found

    def simulate_train_eval(
        self,
        arch: object,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        account_time: bool = True,
    ) -> tuple[float, float, float, float]:
        """Validation accuracy of one drawn seed, latency, seconds charged, seconds used so far."""
        return self._simulate(arch, dataset, iepoch, hp, account_time)

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None = None,
        param_max: float | None = None,
        hp: str | int = "12",
        enforce_all: bool | None = None,
    ) -> tuple[int, float | None]:
        """The cell of the highest mean accuracy with at most so many millions of each; (-1, None)
        if there is none. All cells of the table are looked at, whatever ``enforce_all`` says.
        """
        return self._find_best(dataset, metric_on_set, flop_max, param_max, hp)


def create(
    file_path_or_dict: object, search_space: str, fast_mode: bool = False, verbose: bool = True
) -> NATStopology:
    """As ``nats_bench.create``: "tss" or "topology"; BenchmarkError for the size space."""
    if search_space not in ("tss", "topology"):
        raise BenchmarkError(f"search space {search_space!r:.40}: allowed is tss or topology")
    return NATStopology(file_path_or_dict, fast_mode, verbose)
