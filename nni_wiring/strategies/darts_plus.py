"""DARTS+: DARTS with a stop rule."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from nni_wiring.strategies.darts import DARTS, DartsSettings
from nni_wiring.supernet.edge_group import EdgeGroup

#: Operations without parameters of their own: the rule watches the ranking of the others.
WITHOUT_PARAMETERS = frozenset({"none", "skip_connect", "avg_pool_3x3", "max_pool_3x3", "noise"})

Ranking = list[list[str]]


class DartsPlusSettings(DartsSettings):
    """max_skips: stop when the derived cell has this many skips or more (None: this rule is off).

    stable_epochs: stop when the ranking of the learnable operations by alpha has been the same, on
    every edge, at the end of this many epochs in a row after the first (None: this rule is off).
    """

    max_skips: int | None = Field(default=2, ge=1)
    stable_epochs: int | None = Field(default=10, ge=1)


class DARTSPlus(DARTS):
    """DARTS+ (Liang et al., 2019): DARTS, stopped early by either of two rules.

    Defaults: DARTS' of the NAS-Bench-201 paper's runs (theory page, section 6, first row) with the
    paper's rules: two skips, made for the DARTS space, or a ranking stable for ten epochs. Note
    that a uniformly drawn NAS-Bench-201 cell has two skips or more with probability .34.
    """

    name: ClassVar[str] = "darts_plus"
    paper: ClassVar[str] = "Liang et al., 2019, arXiv 1909.06035"
    Settings = DartsPlusSettings
    settings: DartsPlusSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._ranking: Ranking | None = None
        self._stable_for = 0

    def on_epoch_end(self, epoch: int) -> bool:
        """Stop by either rule; in epochs in which alpha does not move neither is asked."""
        if not self.alpha_moves_in(epoch):
            return False
        ranking = [row for group in self.groups for row in learnable_ranking(group)]
        self._stable_for = self._stable_for + 1 if ranking == self._ranking else 0
        self._ranking = ranking
        limit, stable = self.settings.max_skips, self.settings.stable_epochs
        too_many = limit is not None and any(self._skips(g) >= limit for g in self.groups)
        return too_many or (stable is not None and self._stable_for >= stable)

    def _skips(self, group: EdgeGroup) -> int:
        return [group.operations[k] for k in self.select(group)].count("skip_connect")

    def search_state(self) -> dict[str, Any]:
        """The last ranking and for how many epochs it has stood."""
        return {"ranking": self._ranking, "stable_for": self._stable_for}

    def load_search_state(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self._ranking, self._stable_for = state["ranking"], state["stable_for"]


def learnable_ranking(group: EdgeGroup) -> Ranking:
    """For every edge its operations that have parameters, by falling alpha."""
    return [
        sorted((name for name in row if name not in WITHOUT_PARAMETERS), key=row.__getitem__)[::-1]
        for row in group.by_edge(group.alpha).values()
    ]
