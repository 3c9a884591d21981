"""The null of a comparison: as many cells drawn uniformly as a method has runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nni_wiring.report.analysis import RunAnalysis

DRAWS = 20_000


def random_cells_p(mean: float, runs: int, cells: ArrayLike, *, seed: int = 0) -> float:
    """p that the mean of ``runs`` cells drawn uniformly (with replacement) reaches ``mean``.

    The share of all cells for one run; else 20,000 draws from ``seed``, the observed mean counted
    among them.

    Args:
        mean: of the runs' accuracies, percent.
        runs: how many.
        cells: the accuracies of all cells; NaN is left out.
    """
    values = np.asarray(cells, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    slack = 1e-9 * max(1.0, abs(mean))
    if runs == 1:
        return float((values >= mean - slack).mean())
    draw = np.random.default_rng(seed)
    means = np.zeros(DRAWS)
    for _ in range(runs):
        means += draw.choice(values, DRAWS)
    return (int((means / runs >= mean - slack).sum()) + 1) / (DRAWS + 1)


def searched_all_cells(run: RunAnalysis) -> bool:
    """True for a run that could choose among all operations on every edge: only then is a cell
    drawn from all of them its null.
    """
    tables = run.records[-1].alpha.values() if run.records else ()
    return bool(tables) and all(set(row) == set(run.benchmark.operations) for row in tables)
