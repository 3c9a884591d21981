"""From text, or from what a search found, to the one operation of every edge of a space."""

from __future__ import annotations

from collections.abc import Mapping

from nni_wiring.errors import SpaceError
from nni_wiring.runs.result import ReadOff
from search_spaces.cell_codec import CODECS, shown
from search_spaces.genotypes import parse_genotype
from search_spaces.registry import SpaceEntry

#: The operation of every edge, as the space names its edges: "0-1", or "normal/0-2".
Operations = dict[str, str]

_GENOTYPE = "Genotype("
_CUT = "none"


def spells_a_cell(text: str) -> bool:
    """True for a text of the form of a cell, of whichever space, which no run id can have."""
    return any(mark in text for mark in "|(=")


def parse_cell(entry: SpaceEntry, arch: str) -> Operations:
    """Read a cell of a space.

    Args:
        entry: the space.
        arch: its benchmark's spelling, ``Genotype(normal=[..], ..)``, or
            ``edge=operation;edge=operation;..``, as runs spell cells without a form of their own.

    Raises:
        SpaceError: one line; the text is malformed, or a cell of another space.
    """
    text = arch.strip()
    if text.startswith(_GENOTYPE):
        return _of_genotype(entry, text)
    chosen = _of_pairs(text) if "=" in text else _of_benchmark(entry, text)
    return _checked(entry, chosen, text)


def arch_of(entry: SpaceEntry, found: ReadOff) -> str:
    """The text of the cell that a run found, for :func:`parse_cell`.

    Raises:
        SpaceError: it found none, or none of this space.
    """
    if found.arch:
        return found.arch
    if not found.cells:
        raise SpaceError(f"run {found.run_id} has no derived cell; allowed: a finished run")
    several = len(entry.kinds) > 1
    return ";".join(
        f"{kind}/{edge}={name}" if several else f"{edge}={name}"
        for kind, cell in found.cells.items()
        for edge, name in cell.operations.items()
    )


def _of_benchmark(entry: SpaceEntry, text: str) -> Operations:
    if entry.benchmark is None:
        form = f"{_GENOTYPE}...)" if _takes_genotypes(entry) else "edge=operation;edge=operation;.."
        raise SpaceError(f"arch {shown(text)}: no cell of space {entry.name}; expected {form}")
    codec = CODECS.lookup(entry.benchmark)
    names = (codec.operations[index] for index in codec.parse(text))
    return dict(zip(entry.graph.edge_names, names, strict=True))


def _of_pairs(text: str) -> Operations:
    chosen: Operations = {}
    for part in text.split(";"):
        edge, equals, name = (word.strip() for word in part.partition("="))
        if not equals or not edge or not name or edge in chosen:
            raise SpaceError(
                f"arch {shown(text)}: {part.strip()!r:.40} is no edge=operation, each edge once"
            )
        chosen[edge] = name
    return chosen


def _checked(entry: SpaceEntry, chosen: Mapping[str, str], text: str) -> Operations:
    """The cell in the space's edge order; SpaceError for an edge or operation that it has not."""
    allowed = entry.operations()
    for edge in (*chosen, *allowed):
        if edge not in allowed or edge not in chosen:
            problem = "unknown" if edge in chosen else "missing"
            raise SpaceError(
                f"arch {shown(text)}: edge {edge!r:.40} is {problem}; space {entry.name} has "
                f"{', '.join(allowed)}"
            )
    for edge, names in allowed.items():
        if chosen[edge] not in names:
            raise SpaceError(
                f"arch {shown(text)}: operation {chosen[edge]!r:.40} on edge {edge} is not in "
                f"space {entry.name}; allowed there: {', '.join(names)}"
            )
    return {edge: chosen[edge] for edge in allowed}


def _takes_genotypes(entry: SpaceEntry) -> bool:
    return set(entry.kinds) == {"normal", "reduce"}


def _of_genotype(entry: SpaceEntry, text: str) -> Operations:
    """The genotype's edges with their operations; all others are cut."""
    if not _takes_genotypes(entry):
        raise SpaceError(
            f"arch {shown(text)}: space {entry.name} has no normal and reduction cells; "
            "allowed: space darts and its subspaces"
        )
    genotype, allowed = parse_genotype(text), entry.operations()
    found = dict.fromkeys(allowed, _CUT)
    for kind in entry.kinds:
        wiring = genotype.wiring(kind)
        graph = wiring.graph
        if (graph.nodes, graph.outputs) != (entry.graph.nodes, entry.graph.outputs):
            outputs = ", ".join(map(str, entry.graph.outputs))
            raise SpaceError(
                f"arch {shown(text)}: its {kind} cell has {graph.nodes} nodes and concatenates "
                f"{', '.join(map(str, graph.outputs))}; space {entry.name} has {entry.graph.nodes} "
                f"and concatenates {outputs}"
            )
        for edge, name in wiring.chosen.items():
            names = allowed.get(f"{kind}/{edge}")
            if names is None:
                raise SpaceError(
                    f"arch {shown(text)}: edge {kind}/{edge} is not in space {entry.name}, where "
                    "two nodes are joined once"
                )
            if name not in names:
                raise SpaceError(
                    f"arch {shown(text)}: operation {name!r:.40} on edge {kind}/{edge} is not in "
                    f"space {entry.name}; allowed there: {', '.join(names)}"
                )
            found[f"{kind}/{edge}"] = name
    return found
