"""The figures of one training side by side: the answer of ``get_more_info``."""

from __future__ import annotations

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api.results import ArchResults, Seed
from nni_wiring.truth.api.trainings import Figures

_FIGURES = ("loss", "accuracy", "per-time", "all-time")


def more_info(info: ArchResults, dataset: str, iepoch: int | None, is_random: Seed) -> Figures:
    """Loss, accuracy, seconds per epoch and in all, of training and of each evaluation.

    Args:
        info: the cell at one length of training.
        dataset: the training.
        iepoch: from 0; None for the last.
        is_random: False for the mean over seeds, or a seed.

    Raises:
        BenchmarkError: the table has nothing of all this, or there is no such training or epoch.
    """
    length = info.get_total_epoch(dataset)
    if iepoch is not None and not 0 <= iepoch < length:
        raise BenchmarkError(f"iepoch {iepoch}: allowed is 0..{length - 1}")
    if is_random is not False:
        info.query(dataset, is_random)  # an unknown seed is told by its own line
    epochs = length if iepoch is None else iepoch + 1
    found = Figures()
    for name, images in info.figures_of(dataset).items():
        keys = [f"{name}-{figure}" for figure in _FIGURES]
        try:
            part = info.get_metrics(dataset, images, iepoch, is_random)
        except BenchmarkError as error:
            found.lack(keys, error)
            if name == "train":  # a table may know the seconds alone
                cost = info.get_compute_costs(dataset)
                found.ask(keys[2], cost.__getitem__, "T-train@epoch")
                found.ask(keys[3], _times, cost, epochs)
            continue
        found.ask(keys[0], part.__getitem__, "loss")
        found.ask(keys[1], part.__getitem__, "accuracy")
        found.ask(keys[2], _per_epoch, part, epochs)
        found.ask(keys[3], part.__getitem__, "all_time")
    if not found:
        found["train-accuracy"]  # raises the line that names it
    return found


def _per_epoch(part: Figures, epochs: int) -> float:
    return float(part["all_time"] / epochs)


def _times(cost: Figures, epochs: int) -> float:
    return float(cost["T-train@epoch"] * epochs)
