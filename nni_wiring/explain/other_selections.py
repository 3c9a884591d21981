"""Cells that other selections would have read off the same supernet, and their regret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nni_wiring.explain.landscape import Landscape
from nni_wiring.files.tolerant import as_text, dig, pairs
from nni_wiring.records import EpochRecord

#: Where a record keeps {selection: arch}.
RECORDED = "selections"


@dataclass(frozen=True)
class SelectedCell:
    """The cell that one selection reads off the supernet of one epoch.

    Attributes:
        selection: its name. epoch: of the supernet.
        arch: the cell.
        accuracy, regret: percent, percent points below the best cell; None where missing.
    """

    selection: str
    epoch: int
    arch: str
    accuracy: float | None
    regret: float | None


def other_selections(
    records: Sequence[EpochRecord], afterwards: Mapping[str, object], land: Landscape
) -> tuple[SelectedCell, ...]:
    """A cell for every epoch and selection that was recorded, then those of finished selections.

    Args:
        records: of a search; earlier versions recorded no selections.
        afterwards: results of ``select`` on the last epoch's supernet, by selection.
        land: the truth; cells that it does not hold are left out.
    """
    found = [
        (name, record.epoch, as_text(arch))
        for record in records
        for name, arch in pairs(record.statistics.get(RECORDED))
    ]
    last = records[-1].epoch if records else 0
    found += [(name, last, as_text(dig(result, "arch"))) for name, result in afterwards.items()]
    # a selection that was done again afterwards is the same one
    unique = {(name, epoch): arch for name, epoch, arch in found if arch is not None}
    return tuple(_cells(unique, land))


def _cells(archs: Mapping[tuple[str, int], str], land: Landscape) -> Iterator[SelectedCell]:
    for (name, epoch), arch in archs.items():
        cell = land.find(arch)
        if cell is not None:
            accuracy = land.accuracy(cell)
            yield SelectedCell(name, epoch, arch, accuracy, land.regret(accuracy))
