"""DARTS+: DARTS with a stop rule."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from nni_wiring.strategies.darts import DARTS, DartsSettings
from nni_wiring.strategies.parts.base import StopRule
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.stop_rules import SkipLimit, StableRanking


class DartsPlusSettings(DartsSettings):
    """max_skips: stop when the derived cell (of DARTS' cells: the normal one's genotype) has this
    many skips or more (None: this rule is off).

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

    def declare(self) -> Parts:
        """DARTS' parts, and both rules."""
        rules: list[StopRule] = []
        if self.settings.stable_epochs is not None:
            rules.append(StableRanking(self.settings.stable_epochs))
        if self.settings.max_skips is not None:
            rules.append(SkipLimit(self.select, self.pairs, self.settings.max_skips))
        return replace(super().declare(), stops=tuple(rules))
