"""The search spaces by name. A new space is one file and one entry here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from search_spaces import transnas101_micro
from search_spaces.cell_codec import CODECS
from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph
from search_spaces.constraints import EdgeOperations, edge_operations, kinds_operations
from search_spaces.errors import SpaceError
from search_spaces.genotypes import (
    DARTS_GRAPH,
    DARTS_OPERATIONS,
    DARTS_S1,
    MINIMAL_GRAPH,
    SIMPLIFIED_GRAPH,
)
from search_spaces.names import Registry
from search_spaces.settings import (
    RUN_OPTIONS,
    DartsSpaceSettings,
    NasBench201SpaceSettings,
    S1SpaceSettings,
    SpaceSettings,
    misfit,
)
from search_spaces.validation import one_line_validation

if TYPE_CHECKING:
    from search_spaces.nni_api import ModelSpace


class SpaceBuilder(Protocol):
    """Builds a space; keywords are num_classes and the space's settings (channels, cells, ...)."""

    def __call__(self, *, operations: EdgeOperations, **options: Any) -> ModelSpace:
        """Return the model space under the constraint ``operations``, spelt out edge by edge."""


def _nasbench201(*, operations: EdgeOperations, **options: Any) -> ModelSpace:
    from search_spaces.nasbench201 import NasBench201Space

    return NasBench201Space(operations=operations, **options)


def _darts(*, operations: EdgeOperations, **options: Any) -> ModelSpace:
    from search_spaces.darts import DartsSpace

    return DartsSpace(operations, **options)


def _minimal(*, operations: EdgeOperations, **options: Any) -> ModelSpace:
    from search_spaces.darts import DartsSpace

    return DartsSpace(operations, graph=MINIMAL_GRAPH, reduction=False, **options)


def _simplified(*, operations: EdgeOperations, **options: Any) -> ModelSpace:
    from search_spaces.darts import DartsSpace

    return DartsSpace(operations, graph=SIMPLIFIED_GRAPH, reduction=False, **options)


@dataclass(frozen=True)
class SpaceEntry:
    """A named search space: its cell graph, the constraint that the name stands for, and how it is
    built.

    Attributes:
        kinds: the labels of its cells; where there are several, edges are named ``kind/edge``.
        candidates: the operations of an edge that no constraint names.
        settings: the model of the space's options, with its defaults.
        benchmark: the name of the benchmark whose cells these are, None where no benchmark holds
            them.
    """

    name: str
    summary: str
    graph: CellGraph
    constraint: Mapping[str, Sequence[str]] = field(default_factory=dict)
    builder: SpaceBuilder = _nasbench201
    kinds: tuple[str, ...] = ("cell",)
    candidates: tuple[str, ...] = OPERATIONS
    settings: type[SpaceSettings] = NasBench201SpaceSettings
    benchmark: str | None = None

    def operations(self, override: EdgeOperations | None = None) -> dict[str, tuple[str, ...]]:
        """Allowed operations of every edge; ``override`` replaces the name's own constraint edge by
        edge.
        """
        named = self._spell(self.constraint)
        if override is None:
            return named
        return self._spell(override if "*" in override else {**named, **override})

    def _spell(self, constraint: EdgeOperations) -> dict[str, tuple[str, ...]]:
        if len(self.kinds) == 1:
            return edge_operations(self.graph, constraint, self.candidates)
        return kinds_operations(self.graph, self.kinds, constraint, self.candidates)

    def build(self, settings: SpaceSettings, num_classes: int) -> ModelSpace:
        """The model space with these settings, not yet a supernet; SpaceError for bad ones."""
        options = settings.model_dump(exclude={"operations"})
        operations = self.operations(settings.operations)
        return self.builder(operations=operations, num_classes=num_classes, **options)

    def tabulated(self, override: EdgeOperations | None = None) -> bool:
        """True where the space's benchmark holds every cell of it."""
        return self.truth_benchmark(override) is not None

    def truth_benchmark(self, override: EdgeOperations | None = None) -> str | None:
        """The name of the benchmark that holds every cell of the space; None without one, or where
        the constraint allows an operation that the benchmark has not.

        Raises:
            SpaceError: the space names a benchmark that is not known.
        """
        if self.benchmark is None:
            return None
        names = {name for names in self.operations(override).values() for name in names}
        holds = CODECS.lookup(self.benchmark).holds(self.graph, names)
        return self.benchmark if holds else None

    def cells(self, override: EdgeOperations | None = None) -> int:
        """Number of cells in the space."""
        count = 1
        for names in self.operations(override).values():
            count *= len(names)
        return count


def _darts_space(
    name: str, summary: str, constraint: Mapping[str, Sequence[str]] | None = None
) -> SpaceEntry:
    return SpaceEntry(
        name,
        summary,
        DARTS_GRAPH,
        constraint or {},
        builder=_darts,
        kinds=("normal", "reduce"),
        candidates=DARTS_OPERATIONS,
        settings=DartsSpaceSettings,
    )


def _nasbench201_space(
    name: str, summary: str, constraint: Mapping[str, Sequence[str]] | None = None
) -> SpaceEntry:
    return SpaceEntry(name, summary, NB201, constraint or {}, benchmark="nasbench201")


_ENTRIES = (
    _nasbench201_space("nasbench201", "the whole space: 5 operations on 6 edges"),
    _nasbench201_space("nasbench201_simple", "without none", {"*": OPERATIONS[1:]}),
    _nasbench201_space(
        "nasbench201_s2",
        "failure space S2: skip_connect, nor_conv_3x3 (DARTS-PT)",
        {"*": ("skip_connect", "nor_conv_3x3")},
    ),
    _nasbench201_space(
        "nasbench201_s4",
        "failure space S4: noise, nor_conv_3x3 (DARTS-PT); no truth",
        {"*": ("noise", "nor_conv_3x3")},
    ),
    _nasbench201_space(
        "nasbench201_s10",
        "failure space S10: none, nor_conv_3x3 (DARTS-PT)",
        {"*": ("none", "nor_conv_3x3")},
    ),
    _nasbench201_space(
        "nasbench201_minimal",
        "S1's minimal wiring, tabulated: search 0-1, 0-2, 1-2; 1-3 = 2-3 = skip, 0-3 = none",
        {"1-3": ("skip_connect",), "2-3": ("skip_connect",), "0-3": ("none",)},
    ),
    SpaceEntry(
        "transnas101_micro",
        "the cells of TransNAS-Bench-101 micro (4 operations) in NAS-Bench-201's network",
        NB201,
        candidates=transnas101_micro.OPERATIONS,
        benchmark="transnas101_micro",
    ),
    SpaceEntry(
        "minimal",
        "S1's minimal cell: two inputs, two nodes, 8 DARTS operations, no reduction; no truth",
        MINIMAL_GRAPH,
        builder=_minimal,
        candidates=DARTS_OPERATIONS,
        settings=S1SpaceSettings,
    ),
    SpaceEntry(
        "simplified",
        "S1's simplified cell: the minimal one with one input; no truth",
        SIMPLIFIED_GRAPH,
        builder=_simplified,
        candidates=DARTS_OPERATIONS,
        settings=S1SpaceSettings,
    ),
    _darts_space("darts", "DARTS: normal and reduction cells, 8 operations on 14 edges; no truth"),
    _darts_space(
        "darts_s1",
        "failure space S1: two preset operations per edge (DARTS-PT); no truth",
        DARTS_S1,
    ),
    _darts_space(
        "darts_s2",
        "failure space S2: skip_connect, sep_conv_3x3 (DARTS-PT); no truth",
        {"*": ("skip_connect", "sep_conv_3x3")},
    ),
    _darts_space(
        "darts_s3",
        "failure space S3: none, skip_connect, sep_conv_3x3 (DARTS-PT); no truth",
        {"*": ("none", "skip_connect", "sep_conv_3x3")},
    ),
    _darts_space(
        "darts_s4",
        "failure space S4: noise, sep_conv_3x3 (DARTS-PT); no truth",
        {"*": ("noise", "sep_conv_3x3")},
    ),
)


def _check(entry: SpaceEntry) -> None:
    if not isinstance(entry, SpaceEntry):
        raise SpaceError(f"space: {entry!r:.60} is not a SpaceEntry")
    reason = misfit(entry.settings, {"the run": RUN_OPTIONS})
    if reason is not None:
        raise SpaceError(f"space {entry.name}: {reason}")


SPACES = Registry("space", SpaceError, _ENTRIES, group="nni_wiring.spaces", check=_check)
register_space = SPACES.register
space_entry = SPACES.lookup


def build_space(name: str, *, num_classes: int = 10, **options: Any) -> ModelSpace:
    """Build a space by name.

    Args:
        name: of the registry.
        num_classes: labels of the data.
        **options: the space's settings (channels, cells, head, ..., operations); those not given
            are its defaults.

    Raises:
        SpaceError: unknown name or bad option, in one line.
    """
    entry = space_entry(name)
    try:
        settings = entry.settings(**options)
    except ValidationError as error:
        known = entry.settings.model_fields
        raise SpaceError(one_line_validation(error, f"space {name}", known)) from None
    return entry.build(settings, num_classes)
