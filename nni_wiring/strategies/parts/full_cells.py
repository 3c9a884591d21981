"""Cells whose operations see all channels."""

from __future__ import annotations

from collections.abc import Callable

from nni_wiring.strategies.parts.base import CellKind
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.fused.cell import fused_or_plain


class FullCells(CellKind):
    """The cell of the unified view, fused where space and settings allow it."""

    def factory(self, *, plain: bool) -> Callable[..., SupernetCell]:
        """See the class."""
        return SupernetCell if plain else fused_or_plain
