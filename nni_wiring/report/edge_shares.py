"""Over the runs of a method: the edges that lose the regret on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nni_wiring.explain import Explanation, MeanShare, over_runs
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.variants import strategy_labels


class EdgeShares(NamedTuple):
    """The mean shares of the regret over a method's finished runs.

    Attributes:
        method: as summaries call it.
        metric: the accuracy that the regret is of, as "cifar10 valid".
        shares: by edge, the one that loses most first; percent points.
    """

    method: str
    metric: str
    shares: tuple[MeanShare, ...]


def edge_shares(runs: Sequence[RunAnalysis]) -> list[EdgeShares]:
    """A row for every method, table and accuracy of which two finished runs or more are explained
    by the truth, in the order of the runs.
    """
    groups: dict[tuple[str, object], list[Explanation]] = {}
    for run, label in zip(runs, strategy_labels(runs), strict=True):
        found = run.explanation if run.facts.status == "finished" else None
        if found is not None and found.attributed:
            groups.setdefault((label, found.metric), []).append(found)
    return [
        EdgeShares(
            label,
            f"{own[0].dataset} {own[0].split}",
            tuple(sorted(over_runs(own), key=lambda share: -share.mean)),
        )
        for (label, _), own in groups.items()
        if len(own) > 1
    ]
