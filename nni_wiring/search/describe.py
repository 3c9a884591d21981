"""The description of the cells that a selection read off a search's supernet."""

from __future__ import annotations

from nni_wiring.runs.result import ReadOff
from nni_wiring.search.assemble import Assembly
from nni_wiring.selection.base import Selected
from nni_wiring.selection.describe import read_off, selected_cells


def describe(parts: Assembly, run_id: str, selection: str, selected: Selected) -> ReadOff:
    """The selected cells of a run with their arch, topology and truth; selection: its name."""
    strategy = parts.strategy
    cells = selected_cells(strategy.groups, selected, parts.table, strategy.genotype())
    return read_off(cells, run_id, selection, parts.dataset)
