"""Bayesian optimisation with a Gaussian process on a graph kernel over cells.

The idea is NASBOT's (Kandasamy et al., NeurIPS 2018): measure how alike two architectures are as
graphs. The kernel here is ours: a Gaussian on Weisfeiler-Lehman features of the live graph, so
that cells which differ in dead edges alone are the same point.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import ConfigError
from nni_wiring.tuners.samplers import ALL_CHOICES, Cell, Choices, Sampler, check_integer
from search_spaces.cell_codes import NASBENCH201
from search_spaces.cell_graph import live_mask

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

_GRAPH = NASBENCH201.graph
_DEAD = NASBENCH201.operations.index("none")


@lru_cache(maxsize=2)
def graph_features(rounds: int = 1) -> NDArray[np.float32]:
    """Weisfeiler-Lehman features of all cells, by code.

    Each live edge starts with its operation as label; a round joins to it the sorted labels of
    the live edges before and behind it, and whether it touches input or output. The features
    count the labels of every round.

    Args:
        rounds: how far the labels look.

    Returns:
        (cells, labels) float32.
    """
    cells = NASBENCH201.cells
    labels = np.where(live_mask(cells), cells.astype(np.int64), _DEAD)
    parts = [_counts(labels)]
    for _ in range(rounds):
        labels = _refine(labels)
        parts.append(_counts(labels))
    return np.concatenate(parts, axis=1)


def _refine(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """New labels of (n, edges) from each edge's own, its predecessors' and its successors'."""
    rows: list[NDArray[np.int64]] = []
    for own, (source, target) in enumerate(_GRAPH.edges):
        before = [e for e, edge in enumerate(_GRAPH.edges) if edge[1] == source]
        behind = [e for e, edge in enumerate(_GRAPH.edges) if edge[0] == target]
        row = np.full((len(labels), 2 + 2 * _GRAPH.nodes), _DEAD, dtype=np.int64)
        row[:, 0] = labels[:, own]
        row[:, 1] = 2 * (source in _GRAPH.inputs) + (target in _GRAPH.outputs)
        row[:, 2 : 2 + len(before)] = np.sort(labels[:, before], axis=1)[:, ::-1]
        start = 2 + _GRAPH.nodes
        row[:, start : start + len(behind)] = np.sort(labels[:, behind], axis=1)[:, ::-1]
        row[labels[:, own] == _DEAD] = _DEAD
        rows.append(row)
    stacked = np.stack(rows, axis=1)
    _, refined = np.unique(stacked.reshape(-1, stacked.shape[-1]), axis=0, return_inverse=True)
    return refined.reshape(labels.shape).astype(np.int64)


def _counts(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Counts of each label but the dead one in each cell: (n, labels - 1) float32."""
    counts = np.zeros((len(labels), int(labels.max()) + 1), dtype=np.float32)
    for column in labels.T:
        counts[np.arange(len(labels)), column] += 1.0
    return counts[:, 1:]


class BayesSampler(Sampler):
    """Expected improvement under a Gaussian process on graph features.

    Args:
        start: random cells before the first fit.
        refit: the kernel's width and noise are fitted anew after every so many values.
        window: most values in the process (the best half and the latest).
    """

    name = "bayes"

    def __init__(
        self,
        choices: Choices = ALL_CHOICES,
        seed: int = 0,
        start: int = 10,
        refit: int = 10,
        window: int = 300,
    ) -> None:
        super().__init__(choices, seed)
        check_integer("start", start, 2, 10_000)
        check_integer("refit", refit, 1, 10_000)
        check_integer("window", window, 10, 5_000)
        if len(self.choices) != len(_GRAPH.edges):
            raise ConfigError("bayes: its kernel knows NAS-Bench-201 cells (six edges) only")
        self.start, self.refit, self.window = start, refit, window
        self.codes: list[int] = []
        self.values: list[float] = []
        self._asked: set[int] = set()
        self._kernel: object = None
        self._fitted = 0
        allowed = np.ones(len(NASBENCH201.cells), dtype=bool)
        for edge, operations in enumerate(self.choices):
            allowed &= np.isin(NASBENCH201.cells[:, edge], operations)
        self._candidates = np.flatnonzero(allowed)

    def ask(self) -> Cell:
        """A random cell at first, then the one of largest expected improvement."""
        fresh = self._fresh()
        if len(self.values) < self.start or not len(fresh):
            cell = self.draw()
        else:
            gains = self._expected_improvement(fresh)
            best = np.flatnonzero(gains == gains.max())
            pick = int(fresh[best[int(self.random.random() * len(best))]])
            cell = tuple(int(operation) for operation in NASBENCH201.cells[pick])
        self._asked.add(int(NASBENCH201.code(np.asarray(cell))))
        return cell

    def tell(self, cell: Cell, value: float) -> None:
        """Remember the value."""
        code = int(NASBENCH201.code(np.asarray(cell)))
        self.codes.append(code)
        self.values.append(float(value))
        self._asked.add(code)

    def _fresh(self) -> NDArray[np.int64]:
        return self._candidates[~np.isin(self._candidates, list(self._asked))]

    def _expected_improvement(self, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        from scipy.special import ndtr

        features = graph_features()
        process = self._fit(features)
        mean, deviation = process.predict(features[candidates], return_std=True)
        best = max(process.y_train_ * process._y_train_std + process._y_train_mean)
        deviation = np.maximum(deviation, 1e-9)
        z = (mean - best) / deviation
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return (mean - best) * ndtr(z) + deviation * density

    def _fit(self, features: NDArray[np.float32]) -> GaussianProcessRegressor:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, WhiteKernel

        keep = self._kept()
        due = self._kernel is None or len(self.values) >= self._fitted + self.refit
        kernel = self._kernel or RBF(3.0, (0.3, 100.0)) + WhiteKernel(0.05, (1e-4, 1.0))
        process = GaussianProcessRegressor(
            kernel, optimizer="fmin_l_bfgs_b" if due else None, normalize_y=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(features[np.array(self.codes)[keep]], np.array(self.values)[keep])
        if due:
            self._kernel, self._fitted = process.kernel_, len(self.values)
        return process

    def _kept(self) -> NDArray[np.int64]:
        """Indices of the values in the process: all, or the best half and the latest half."""
        count = len(self.values)
        if count <= self.window:
            return np.arange(count)
        best = np.argsort(self.values)[::-1][: self.window // 2]
        latest = np.arange(count - self.window // 2, count)
        return np.union1d(best, latest)
