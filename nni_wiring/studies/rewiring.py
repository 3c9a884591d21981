"""Pairs of cells that differ in the place of one operation, and what each leads by (S3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.studies.frame import Row
from nni_wiring.studies.truths import StudyTruth
from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.uniqueness import exact_class

Array = NDArray[np.float64]

TOP, GOOD = 75.0, 60.0
FIRST, WIDE, DEEP = (NB201.edge_index(name) for name in ("0-1", "0-2", "1-2"))
_OUT = [NB201.edge_index(name) for name in ("0-3", "1-3", "2-3")]


class Pairs(NamedTuple):
    """Wide cells of (width, depth) = (2c, 2) and their partners of (1c, 3).

    Attributes:
        wide: (pairs,) official indices.
        deep: (pairs,) of the cells with the operation of 0-2 on 1-2 instead.
        operations: (pairs, edges) of the wide cells.
        cluster: (pairs,) equal for pairs with the same operations on 0-3, 1-3 and 2-3.
    """

    wide: NDArray[np.int64]
    deep: NDArray[np.int64]
    operations: NDArray[np.int64]
    cluster: NDArray[np.int64]


class Lead(NamedTuple):
    """Wide minus deep of every pair on one data set.

    Attributes:
        short, full: points of accuracy after the shortest tabulated training and after the one
            that counts (12 and 200 epochs in NAS-Bench-201).
        short_rank, full_rank: the same in percentiles of all cells.
        ranks: (2, pairs) percentiles of the wide and the deep cell after the one that counts.

    NaN where the table lacks one of the two cells.
    """

    short: Array
    full: Array
    short_rank: Array
    full_rank: Array
    ranks: Array

    @property
    def known(self) -> NDArray[np.bool_]:
        """(pairs,) those of which the table has both cells after both trainings."""
        return np.isfinite(self.short + self.full)

    @property
    def shift(self) -> Array:
        """T of every pair: the lead in percentiles that is lost between the two."""
        return self.short_rank - self.full_rank


def rewired(table: TruthTable) -> Pairs:
    """All 1,280 pairs, in the order of the table."""
    operations = table.operations.astype(np.int64)
    live = operations != OPERATIONS.index("none")
    chosen = live[:, [FIRST, WIDE, *_OUT[1:]]].all(axis=1) & ~live[:, DEEP]
    wide = np.flatnonzero(chosen)
    cells = operations[wide]
    _, cluster = np.unique(cells[:, _OUT], axis=0, return_inverse=True)
    return Pairs(wide, indices(table, moved(cells)), cells, cluster.ravel())


def moved(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """The partners: the operation of 0-2 stands on 1-2."""
    partners = cells.copy()
    partners[:, DEEP], partners[:, WIDE] = cells[:, WIDE], OPERATIONS.index("none")
    return partners


def indices(table: TruthTable, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """The official indices of (n, edges) cells."""
    return np.array([table.index_of(tuple(row)) for row in cells.tolist()])


def lead(truth: StudyTruth, pairs: Pairs) -> Lead:
    """Of all pairs on one data set; BenchmarkError where the table lacks a column."""

    def difference(values: NDArray[Any]) -> Array:
        return values[pairs.wide].astype(np.float64) - values[pairs.deep]

    values, ranks = map(truth.values, truth.ends), [*map(truth.percentiles, truth.ends)]
    short, full = map(difference, values)
    return Lead(
        short=short,
        full=full,
        short_rank=difference(ranks[0]),
        full_rank=difference(ranks[1]),
        ranks=np.stack([ranks[1][pairs.wide], ranks[1][pairs.deep]]),
    )


def of_known(truth: StudyTruth, pairs: Pairs, found: Lead) -> tuple[Pairs, Lead]:
    """The pairs of which the table has all accuracies; BenchmarkError where it has none."""
    known = found.known
    if not known.any():
        raise BenchmarkError(
            f"table {truth.table.name!r} has no two cells of a rewired pair on {truth.dataset}"
        )
    return Pairs(*(column[known] for column in pairs)), Lead(*(c[..., known] for c in found))


def cluster_rows(pairs: Pairs, found: Lead) -> list[Row]:
    """Of every cluster the number of its pairs and the sums of their leads and of T, and both for
    the leads at the end of the pairs with a cell in the top quarter.
    """
    top = found.ranks.max(axis=0) >= TOP
    _, first, cluster = np.unique(pairs.cluster, return_index=True, return_inverse=True)
    weights = {"short": found.short, "full": found.full, "shift": found.shift}
    columns: dict[str, NDArray[Any]] = {
        "pairs": np.bincount(cluster),
        **{name: np.bincount(cluster, weights=values) for name, values in weights.items()},
        "top_pairs": np.bincount(cluster[top], minlength=len(first)),
        "top_full": np.bincount(cluster, weights=np.where(top, found.full, 0.0)),
    }
    names = [[OPERATIONS[place] for place in pairs.operations[k, _OUT]] for k in first]
    lists = {name: column.tolist() for name, column in columns.items()}
    return [
        {"out": " ".join(names[k]), **{name: lists[name][k] for name in lists}}
        for k in range(len(names))
    ]


def subsets(pairs: Pairs, ranks: Array) -> dict[str, NDArray[np.bool_]]:
    """Pairs by name; each condition is symmetric in the two cells or owes nothing to accuracy."""
    same = exact_class(pairs.operations) == exact_class(moved(pairs.operations))
    conv = np.char.find(np.array(OPERATIONS), "conv") >= 0
    found = {
        "better cell in the top quarter": ranks.max(axis=0) >= TOP,
        "mean percentile above 60": ranks.mean(axis=0) > GOOD,
        "the same function twice": same,
        "different functions": ~same,
    }
    for place, name in enumerate(OPERATIONS[1:], start=1):
        of_kind = pairs.operations[:, WIDE] == place
        found[f"0-1 a convolution, {name} moved"] = of_kind & conv[pairs.operations[:, FIRST]]
    return found
