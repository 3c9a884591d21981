"""DARTS, first and second order, and DARTS with alpha fixed (the blank of DARTS-PT)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.fixed import Fixed
from nni_wiring.strategies.parts.unrolled import Unrolled
from nni_wiring.strategies.settings import StrategySettings


class DartsSettings(StrategySettings):
    """order: 1 (DARTS-V1: theta taken as constant) or 2 (DARTS-V2: one unrolled step of theta).

    Unless set, update_order is that of AutoDL's NAS-Bench-201 code: weights first in order 1, alpha
    first in order 2.
    """

    order: Literal[1, 2] = 1

    @model_validator(mode="before")
    @classmethod
    def _default_update_order(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("order") == 2:
            return {"update_order": "alpha_first", **values}
        return values

    @model_validator(mode="after")
    def _second_order_needs_two_levels(self) -> DartsSettings:
        if self.order == 2 and self.optimisation == "single_level":
            raise ValueError("order 2 unrolls the lower level, so it needs optimisation bi_level")
        return self


class DARTS(WiringStrategy):
    """DARTS (Liu, Simonyan & Yang, ICLR 2019): Z = softmax(alpha), alpha by gradient descent on the
    search half.

    Defaults are those of the NAS-Bench-201 paper's runs (AutoDL-Projects; theory page, section 6,
    first row). AutoDL's DARTS-V2 clips alpha's gradient together with theta's, a difference of
    1.2e-3 in alpha; here ``alpha_clip`` limits alpha's alone and is off.
    """

    name: ClassVar[str] = "darts"
    paper: ClassVar[str] = "Liu et al., ICLR 2019, arXiv 1806.09055"
    Settings = DartsSettings
    settings: DartsSettings

    def declare(self) -> Parts:
        """First order: dL_val/dalpha at the present theta; second: after one more step of it."""
        return Parts() if self.settings.order == 1 else Parts(alpha=Unrolled())


class FixedAlphaDARTS(WiringStrategy):
    """DARTS with alpha kept at its initialisation: only theta is trained (the "blank" of DARTS-PT,
    section 5).
    """

    name: ClassVar[str] = "darts_fixed_alpha"
    paper: ClassVar[str] = "Wang et al., ICLR 2021, arXiv 2108.04392"

    def declare(self) -> Parts:
        """DARTS' parts, but alpha."""
        return Parts(alpha=Fixed())
