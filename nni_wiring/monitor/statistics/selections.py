"""The cell that every selection would read off the supernet now."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.monitor.epoch import Epoch, Reading
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.selection.base import Selection
from nni_wiring.selection.registry import SELECTIONS
from nni_wiring.strategies.engine.method import Method
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.supernet.derived import derive_cells, one_arch


class SelectionChoices(Statistic):
    """{selection: arch}, of the registered selections that read p(alpha) alone. Those that need
    the trained supernet run once, at the end or by ``select``. Nothing where the cells have no arch
    of their own, or are DARTS' genotypes, which the method itself derives.
    """

    name: ClassVar[str] = "selections"

    def __init__(self) -> None:
        self._selections = [kind() for kind in SELECTIONS.values() if _reads_every_epoch(kind)]

    def read(self, epoch: Epoch) -> dict[str, str] | None:
        """See the class."""
        if epoch.genotype is not None or epoch.only is None:
            return None
        module = epoch.module
        strategy = module.strategy if isinstance(module, SearchModule) else None
        refused = {} if strategy is None else strategy.settings.refused_selections
        found = {}
        for selection in self._selections:
            chosen = {epoch.only.group.name: _chosen(strategy, epoch.only, selection)}
            arch = one_arch(derive_cells([epoch.only.group], chosen, None))
            if arch is not None and selection.name not in refused:
                found[selection.name] = arch
        return found or None


def _reads_every_epoch(kind: type[Selection]) -> bool:
    """True for one that needs neither the trained supernet nor settings of its own."""
    needed = [field for field in kind.Settings.model_fields.values() if field.is_required()]
    return not kind.at_end and not needed


def _chosen(strategy: Method | None, reading: Reading, selection: Selection) -> list[int]:
    """As the method has it read; NNI's own strategies have no method of reading."""
    if strategy is not None:
        return strategy.read_off(reading.group, selection)
    return selection.read(reading.group, torch.from_numpy(reading.probabilities))
