"""The description of the cells that a selection read off a supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nni_wiring.records import DerivedCell
from nni_wiring.runs.result import ReadOff
from nni_wiring.selection.base import Selected
from nni_wiring.supernet.derived import derive_cells, one_arch
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth import TruthTable


def selected_cells(
    groups: Sequence[EdgeGroup],
    selected: Selected,
    table: TruthTable | None,
    genotype: str | None,
) -> dict[str, DerivedCell]:
    """The selected cell of every kind; of DARTS' normal and reduction cells those of the selected
    genotype, or else those of ``genotype``, which the method derives itself.
    """
    return derive_cells(groups, selected.cells, table, selected.details.get("genotype") or genotype)


def read_off(
    cells: Mapping[str, DerivedCell], run_id: str, selection: str, dataset: str
) -> ReadOff:
    """Cells by kind, with what can be said of them together.

    Args:
        cells: by kind.
        run_id: of their search.
        selection: the name of what selected them.
        dataset: whose truth is shown.
    """
    only = next(iter(cells.values())) if len(cells) == 1 else None
    return ReadOff(
        run_id=run_id,
        selection=selection,
        truth_dataset=dataset,
        arch=one_arch(cells),
        topology={} if only is None else only.topology,
        truth=None if only is None else only.truth,
        cells=cells,
    )
