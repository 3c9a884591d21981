"""The search spaces by name. A new space is one file and one entry here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph
from search_spaces.constraints import EdgeOperations, edge_operations
from search_spaces.errors import SpaceError

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace


class SpaceBuilder(Protocol):
    """Builds a space; keywords are the space's options (channels, cells, head, affine, ...)."""

    def __call__(self, *, operations: EdgeOperations, **options: Any) -> ModelSpace:
        """Return the model space under the constraint ``operations``."""


def _nasbench201(*, operations: EdgeOperations, **options: Any) -> ModelSpace:
    from search_spaces.nasbench201 import NasBench201Space

    return NasBench201Space(operations=operations, **options)


@dataclass(frozen=True)
class SpaceEntry:
    """A named search space: its cell graph, the constraint that the name stands for, and how it is
    built.
    """

    name: str
    summary: str
    graph: CellGraph
    constraint: Mapping[str, Sequence[str]] = field(default_factory=dict)
    builder: SpaceBuilder = _nasbench201

    def operations(self, override: EdgeOperations | None = None) -> dict[str, tuple[str, ...]]:
        """Allowed operations of every edge; ``override`` replaces the name's own constraint edge by
        edge.
        """
        named = edge_operations(self.graph, self.constraint)
        if override is None:
            return named
        if "*" in override:
            return edge_operations(self.graph, override)
        return edge_operations(self.graph, {**named, **override})

    def tabulated(self, override: EdgeOperations | None = None) -> bool:
        """Whether NAS-Bench-201 holds the truth of every cell of the space."""
        names = {name for names in self.operations(override).values() for name in names}
        return self.graph == NB201 and names <= set(OPERATIONS)

    def cells(self, override: EdgeOperations | None = None) -> int:
        """Number of cells in the space."""
        count = 1
        for names in self.operations(override).values():
            count *= len(names)
        return count


_ENTRIES = (
    SpaceEntry("nasbench201", "the whole space: 5 operations on 6 edges", NB201),
    SpaceEntry("nasbench201_simple", "without none", NB201, {"*": OPERATIONS[1:]}),
    SpaceEntry(
        "nasbench201_s2",
        "failure space S2: skip_connect, nor_conv_3x3 (DARTS-PT)",
        NB201,
        {"*": ("skip_connect", "nor_conv_3x3")},
    ),
    SpaceEntry(
        "nasbench201_s4",
        "failure space S4: noise, nor_conv_3x3 (DARTS-PT); no truth",
        NB201,
        {"*": ("noise", "nor_conv_3x3")},
    ),
    SpaceEntry(
        "nasbench201_s10",
        "failure space S10: none, nor_conv_3x3 (DARTS-PT)",
        NB201,
        {"*": ("none", "nor_conv_3x3")},
    ),
    SpaceEntry(
        "nasbench201_minimal",
        "S1's minimal wiring, tabulated: search 0-1, 0-2, 1-2; 1-3 = 2-3 = skip, 0-3 = none",
        NB201,
        {"1-3": ("skip_connect",), "2-3": ("skip_connect",), "0-3": ("none",)},
    ),
)

SPACES: dict[str, SpaceEntry] = {entry.name: entry for entry in _ENTRIES}


def space_entry(name: str) -> SpaceEntry:
    """Look a space up by name; raises SpaceError naming the known ones."""
    if name not in SPACES:
        raise SpaceError(f"space: {name!r} is not known; allowed: {', '.join(SPACES)}")
    return SPACES[name]


def build_space(
    name: str, *, operations: EdgeOperations | None = None, **options: Any
) -> ModelSpace:
    """Build a space by name.

    operations: per-edge constraint on top of the name's own. options: of the space (num_classes,
    channels, cells, head, affine, track_stats). Raises SpaceError for an unknown name or a bad
    option.
    """
    entry = space_entry(name)
    return entry.builder(operations=entry.operations(operations), **options)
