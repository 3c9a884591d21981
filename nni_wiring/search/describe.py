"""What is said of the cells that a selection read off a search's supernet."""

from __future__ import annotations

from nni_wiring.runs.result import ReadOff
from nni_wiring.search.assemble import Assembly
from nni_wiring.selection.base import Selected
from nni_wiring.selection.genotype import magnitude_genotype
from nni_wiring.supernet.derived import derive_cells, one_arch


def describe(parts: Assembly, run_id: str, selection: str, selected: Selected) -> ReadOff:
    """The selected cells of a run with their arch, topology and truth.

    Args:
        parts: the search.
        run_id: its run.
        selection: the name of what selected.
        selected: its cells; of DARTS' normal and reduction cells those of its genotype, else those
            that DARTS derives from alpha.
    """
    strategy = parts.strategy
    genotype = selected.details.get("genotype") or magnitude_genotype(
        strategy.groups, strategy.relaxation
    )
    cells = derive_cells(strategy.groups, selected.cells, parts.table, genotype)
    only = next(iter(cells.values())) if len(cells) == 1 else None
    return ReadOff(
        run_id=run_id,
        selection=selection,
        truth_dataset=parts.dataset,
        arch=one_arch(cells),
        topology={} if only is None else only.topology,
        truth=None if only is None else only.truth,
        cells=cells,
    )
