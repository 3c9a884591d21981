"""The search spaces that a study takes, asked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nni_wiring.errors import ConfigError
from search_spaces.cell_graph import CellGraph
from search_spaces.constraints import EdgeOperations
from search_spaces.registry import SPACES, SpaceEntry, space_entry

_SPACE, _SPACES = "space", "spaces"


@dataclass(frozen=True)
class Spaces:
    """The demands of a study on a space; none, if not told otherwise.

    Attributes:
        names: the only ones; empty: any.
        one_kind: one kind of cell, whose edges one table of alpha holds.
        graph: the cell's graph.
        candidates: operations that the space has, whether a constraint allows them or not.
        every_edge: operations that every edge must allow.
        some_edge: operations that one edge, which has a choice, must allow.
        benchmark: the benchmark that holds every cell.
    """

    names: tuple[str, ...] = ()
    one_kind: bool = False
    graph: CellGraph | None = None
    candidates: tuple[str, ...] = ()
    every_edge: tuple[str, ...] = ()
    some_edge: tuple[str, ...] = ()
    benchmark: str | None = None

    def check(self, study: str, options: Mapping[str, Any]) -> None:
        """Raise ConfigError for an option ``space``, or a name in ``spaces``, that is not taken."""
        option = _SPACES if _SPACES in options else _SPACE
        given = options.get(option, [])
        override = options.get("operations")
        for name in given if option == _SPACES else [given] if given else []:
            reason = self.misfit(space_entry(name), override)
            if reason is None:
                continue
            if override is not None and self.misfit(space_entry(name)) is None:
                raise ConfigError(f"study {study}: operations={override!r:.60}: {reason}")
            raise ConfigError(
                f"study {study}: {option}={name}: {reason}; allowed: {', '.join(self.allowed())}"
            )

    def allowed(self) -> list[str]:
        """The known spaces that are taken."""
        return [entry.name for entry in SPACES.values() if self.misfit(entry) is None]

    def misfit(self, entry: SpaceEntry, override: EdgeOperations | None = None) -> str | None:
        """The reason why a space under the constraint ``override`` is not taken, or None."""
        if self.names and entry.name not in self.names:
            return "the study does not take it"
        if self.one_kind and len(entry.kinds) > 1:
            return f"its cells are of several kinds ({', '.join(entry.kinds)}), one is asked for"
        if self.graph is not None and entry.graph != self.graph:
            return f"its cells have other edges than {' '.join(self.graph.edge_names)}"
        for name in self.candidates:
            if name not in entry.candidates:
                return f"{name} is none of its operations"
        if self.benchmark not in (None, entry.truth_benchmark(override)):
            return f"benchmark {self.benchmark} does not hold its cells"
        return self._lacking(list(entry.operations(override).values()))

    def _lacking(self, allowed: Sequence[Sequence[str]]) -> str | None:
        for name in self.every_edge:
            if any(name not in names for names in allowed):
                return f"not every edge allows {name}"
        for name in self.some_edge:
            if not any(name in names and len(names) > 1 for names in allowed):
                return f"no edge has a choice with {name} in it"
        return None
