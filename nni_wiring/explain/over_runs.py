"""Over several runs: which edges lose the regret on average, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nni_wiring.errors import BenchmarkError
from nni_wiring.explain.explanation import Explanation

CONFIDENCE = 0.95


@dataclass(frozen=True)
class MeanShare:
    """The share of the regret that one edge has, over runs.

    Attributes:
        edge: its name.
        mean: percent points.
        low, high: Student's 95 % interval of the mean over runs; None for a single run.
        runs: how many runs there are.
    """

    edge: str
    mean: float
    low: float | None
    high: float | None
    runs: int


def over_runs(explanations: Sequence[Explanation]) -> tuple[MeanShare, ...]:
    """Average the attributions, edge by edge, in edge order; empty where no run has one.

    Runs without an attribution are left out.

    Raises:
        BenchmarkError: the attributions are not about the same accuracy of the same table.
    """
    attributed = [one for one in explanations if one.attributed]
    metrics = list(dict.fromkeys(one.metric for one in attributed))
    if len(metrics) > 1:
        listed = "; ".join(" ".join(map(str, metric)) for metric in metrics)
        raise BenchmarkError(
            f"attributions of different accuracies have no mean: {listed}; "
            "choose one with --dataset and --split"
        )
    if not attributed:
        return ()
    shares = np.array([[edge.shapley for edge in one.edges] for one in attributed], dtype=float)
    names = [edge.edge for edge in attributed[0].edges]
    return tuple(_mean(name, column) for name, column in zip(names, shares.T, strict=True))


def _mean(edge: str, shares: np.ndarray) -> MeanShare:
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    runs, mean = len(shares), float(shares.mean())
    if runs < 2:
        return MeanShare(edge, mean, None, None, runs)
    error = float(shares.std(ddof=1)) / runs**0.5
    half = float(stdtrit(runs - 1, (1 + CONFIDENCE) / 2)) * error
    return MeanShare(edge, mean, mean - half, mean + half, runs)
