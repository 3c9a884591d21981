"""The cells that a run ended with, whichever way its files spell them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nni_wiring.records import DerivedCell, EpochRecord
from nni_wiring.truth import Benchmark
from search_spaces.cell_graph import Wiring
from search_spaces.errors import SpaceError
from search_spaces.genotypes import parse_genotype

# "0-1=conv;0-2=skip": how a record spells a cell that has no form of its own
_SPELT = re.compile(r"[\w./-]{1,80}=[\w-]{1,80}(;[\w./-]{1,80}=[\w-]{1,80}){0,200}", re.ASCII)


def final_arch(records: Sequence[EpochRecord], result: Mapping[str, Any]) -> str | None:
    """The text of the cell that a run ended with: the result's, else that of the last epoch."""
    arch = result.get("arch")
    if isinstance(arch, str) and arch:
        return arch
    return records[-1].arch if records else None


def final_cells(
    records: Sequence[EpochRecord], result: Mapping[str, Any], benchmark: Benchmark
) -> dict[str, DerivedCell]:
    """The cells that a run ended with, by kind; empty before the first epoch.

    A result's own cells come first, then what its text spells (a selection may have chosen another
    cell than the last epoch's) in `benchmark` or as a genotype, then the last epoch's.
    """
    given = result.get("cells")
    parts = given.items() if isinstance(given, Mapping) else ()
    found = {str(kind): DerivedCell.from_json(value) for kind, value in parts}
    own = {kind: cell for kind, cell in found.items() if cell is not None}
    recorded = dict(records[-1].cells) if records else {}
    arch = final_arch(records, result)
    return own or _of_text(arch, recorded, benchmark) or recorded or _spelt(arch)


def benchmark_wiring(arch: str | None, benchmark: Benchmark) -> Wiring | None:
    """The benchmark's cell that a text spells; None for anything else."""
    codec = benchmark.codec
    try:
        if not arch:
            return None
        return Wiring(codec.graph, tuple(codec.operations[k] for k in codec.parse(arch)))
    except SpaceError:
        return None


def wiring_of(cell: DerivedCell) -> Wiring | None:
    """Graph and operations of a cell as one; None where the graph or an operation is missing."""
    if cell.graph is None:
        return None
    try:
        return Wiring.from_edges(dict(cell.operations), cell.graph)
    except SpaceError:
        return None


def topology_of(cell: DerivedCell) -> dict[str, float | int | bool]:
    """Topology figures of a cell: computed from its graph, else as they were recorded."""
    wiring = wiring_of(cell)
    return dict(cell.topology) if wiring is None else dict(wiring.topology()._asdict())


def _of_text(
    arch: str | None, recorded: Mapping[str, DerivedCell], benchmark: Benchmark
) -> dict[str, DerivedCell]:
    official = benchmark_wiring(arch, benchmark)
    if official is not None and len(recorded) <= 1:
        return _as_cells({next(iter(recorded), "cell"): official}, arch)
    if arch is None or not arch.startswith("Genotype("):
        return {}
    try:
        genotype = parse_genotype(arch)
        return _as_cells({kind: genotype.wiring(kind) for kind in ("normal", "reduce")})
    except SpaceError:
        return {}


def _as_cells(wirings: Mapping[str, Wiring], arch: str | None = None) -> dict[str, DerivedCell]:
    return {
        kind: DerivedCell(kind, wiring.chosen, wiring.graph, arch)
        for kind, wiring in wirings.items()
    }


def _spelt(arch: str | None) -> dict[str, DerivedCell]:
    if arch is None or not _SPELT.fullmatch(arch):
        return {}
    pairs = dict(part.split("=", 1) for part in arch.split(";"))
    return {"cell": DerivedCell("cell", pairs, None, arch)}
