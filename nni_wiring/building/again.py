"""Cells of a built table trained again, with a seed that it has not, and held against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.building.plan import classes_of, first_of_class
from nni_wiring.building.trainer import train_cells
from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.table import TruthTable

#: Random divisions that the tests are made of.
_DRAWS = 20_000


@dataclass(frozen=True)
class Agreement:
    """New trainings of n cells, one each, beside the k that a table has of each.

    Attributes:
        cells, seeds: n and k.
        shift: mean difference of the new training to the mean of the table's, in points.
        distance: root mean square of these differences.
        expected: what the table's own seeds lead to expect for it: the pooled standard deviation
            of a cell's seeds times the root of (1 + 1/k).
        p_shift, p_distance: probabilities of a shift (in size) and of a distance as large as these
            if each cell's new training is one of k + 1 of a kind, in any place among them.
    """

    cells: int
    seeds: int
    shift: float
    distance: float
    expected: float
    p_shift: float
    p_distance: float

    def holds(self, level: float = 0.01) -> bool:
        """True if neither is less probable than ``level``."""
        return min(self.p_shift, self.p_distance) >= level


def compare(known: NDArray[np.float64], new: NDArray[np.float64], seed: int = 0) -> Agreement:
    """Hold new trainings against the table's.

    The test permutes: within each cell the new training changes places with one of the known ones,
    or with none, so cells may have noise of any size. Noise that all new trainings share it does
    not allow for, and those of one seed share some: they draw one order of images.

    Args:
        known: (k, n) percent, k at least 2.
        new: (n,) percent.
        seed: of the drawn permutations.
    """
    k, n = known.shape
    every = np.concatenate([new[None], known])  # (k + 1, n)
    # of each of the k + 1 as the new one: its difference to the mean of the others
    differences = (every - every.mean(axis=0)) * (k + 1) / k
    draw = np.random.default_rng(seed)
    drawn = differences[draw.integers(0, k + 1, (_DRAWS, n)), np.arange(n)]
    own = differences[0]
    return Agreement(
        cells=n,
        seeds=k,
        shift=float(own.mean()),
        distance=float(np.sqrt(np.mean(own**2))),
        expected=float(np.sqrt(known.var(axis=0, ddof=1).mean() * (1 + 1 / k))),
        p_shift=_share(np.abs(drawn.mean(axis=1)), abs(own.mean())),
        p_distance=_share((drawn**2).mean(axis=1), np.mean(own**2)),
    )


def _share(drawn: NDArray[np.float64], own: float) -> float:
    """The probability of at least ``own``, which is one of the permutations itself."""
    return float((np.sum(drawn >= own - 1e-9) + 1) / (len(drawn) + 1))


def sample(table: TruthTable, count: int, seed: int) -> list[int]:
    """Random cells of different classes of which the table has all seeds, by official index.

    Raises:
        BenchmarkError: the table was not built, has fewer than two seeds, or no such cell.
    """
    metric = table.metric(*_column(table, "valid"))
    if metric.trials is None or len(metric.trials) < 2:
        raise BenchmarkError(
            f"table {table.name!r} has one seed, and so no noise to compare with; build it with "
            "--seeds 1,2"
        )
    whole = np.sort(table.codes[np.isfinite(metric.trials).all(axis=0)])
    codec = table.benchmark.codec
    classes = np.unique(first_of_class(whole, classes_of(codec, whole)))
    if not len(classes):
        raise BenchmarkError(f"table {table.name!r} has no cell with all its seeds")
    chosen = np.random.default_rng(seed).permutation(classes)[:count]
    place = np.argsort(table.codes)
    return [int(place[code]) for code in chosen]


def train_again(
    table: TruthTable, cells: Sequence[int], seeds: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """Accuracies of cells trained from scratch as `train` does, with the table's options.

    Args:
        table: that was built.
        cells: official indices.
        seeds: of the new trainings, one a cell; none of the table's.

    Returns:
        {"valid", "test": (cells,) percent}; NaN where a training diverged.
    """
    settings = settings_of(table)
    for seed in sorted(set(seeds) & set(settings["seeds"])):
        raise BenchmarkError(
            f"seed {seed}: table {table.name!r} has it, so it would train the same again; its "
            f"seeds: {', '.join(map(str, settings['seeds']))}"
        )
    options = {key: value for key, value in settings.items() if key != "seeds"}
    rows = [
        row
        for index, seed in zip(cells, seeds, strict=True)
        for row in train_cells(options, [table.arch(index)], seed)
    ]
    last = table.benchmark.full_epochs(table.benchmark.dataset_names[0])
    return {
        part: np.array([row.accuracy.get(last, {}).get(part, np.nan) for row in rows])
        for part in table.benchmark.splits
    }


def settings_of(table: TruthTable) -> Mapping[str, Any]:
    """The options of a built table's trainings, and its seeds; BenchmarkError for another table."""
    settings = table.info.get("settings")
    if not isinstance(settings, dict) or not isinstance(settings.get("seeds"), list):
        raise BenchmarkError(
            f"table {table.name!r} was not built here; allowed: one of `benchmark build`"
        )
    return settings


def known_trainings(table: TruthTable, cells: list[int], part: str) -> NDArray[np.float64]:
    """(seeds, cells) percent after the whole training."""
    trials = table.metric(*_column(table, part)).trials
    assert trials is not None  # ``sample`` looked
    return trials[:, cells].astype(np.float64)


def _column(table: TruthTable, part: str) -> tuple[str, str]:
    settings_of(table)
    return table.benchmark.dataset_names[0], part
