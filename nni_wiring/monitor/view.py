"""The truth that an epoch is looked at with. Imports no torch: reports take it, too."""

from __future__ import annotations

from typing import NamedTuple

from nni_wiring.truth import TruthTable


class View(NamedTuple):
    """The truth that a record is looked at with. table: None without; dataset: its data set."""

    table: TruthTable | None
    dataset: str
