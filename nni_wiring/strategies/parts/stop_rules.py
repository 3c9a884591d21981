"""Rules that end a search early (DARTS+: Liang et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni_wiring.strategies.parts.base import StopRule
from nni_wiring.supernet.edge_group import EdgeGroup
from search_spaces.genotypes import DARTS_GRAPH, Pairs

#: Operations without parameters of their own: the ranking rule watches the others.
WITHOUT_PARAMETERS = frozenset({"none", "skip_connect", "avg_pool_3x3", "max_pool_3x3", "noise"})

Ranking = list[list[str]]


class SkipLimit(StopRule):
    """Stop when a derived cell has ``limit`` skips or more; of DARTS' cells the normal one, as its
    genotype has it.

    select: the operation (column of alpha) of every edge of a group's cell, derived now. pairs: the
    (operation, source) pairs of a DARTS cell, derived now.
    """

    def __init__(
        self,
        select: Callable[[EdgeGroup], list[int]],
        pairs: Callable[[EdgeGroup], Pairs],
        limit: int,
    ) -> None:
        self.select, self.pairs, self.limit = select, pairs, limit

    def should_stop(self, epoch: int) -> bool:
        """See the class."""
        watched = [g for g in self.groups if g.graph != DARTS_GRAPH or g.name == "normal"]
        return any(self._operations(g).count("skip_connect") >= self.limit for g in watched)

    def _operations(self, group: EdgeGroup) -> list[str]:
        if group.graph == DARTS_GRAPH:
            return [operation for operation, _ in self.pairs(group)]
        return [group.operations[k] for k in self.select(group)]


class StableRanking(StopRule):
    """Stop when the ranking of the learnable operations by alpha has been the same, on every edge,
    at the end of ``epochs`` epochs in a row after the first.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._ranking: Ranking | None = None
        self._stable_for = 0

    def should_stop(self, epoch: int) -> bool:
        """See the class; counts the epoch."""
        ranking = [row for group in self.groups for row in learnable_ranking(group)]
        self._stable_for = self._stable_for + 1 if ranking == self._ranking else 0
        self._ranking = ranking
        return self._stable_for >= self.epochs

    def state(self) -> dict[str, Any]:
        """The last ranking and for how many epochs it has stood."""
        return {"ranking": self._ranking, "stable_for": self._stable_for}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self._ranking, self._stable_for = state["ranking"], state["stable_for"]


def learnable_ranking(group: EdgeGroup) -> Ranking:
    """For every edge its operations that have parameters, by falling alpha."""
    return [
        sorted((name for name in row if name not in WITHOUT_PARAMETERS), key=row.__getitem__)[::-1]
        for row in group.by_edge(group.alpha).values()
    ]
