"""Evolution over cells whose values are known one by one and never asked twice (SPOS)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple

#: The operation (column of alpha) of every edge of all groups, group after group.
Cell = tuple[int, ...]

_TRIES = 10  # proposals for every child wanted; the rest of a generation is drawn uniformly


class Scheme(NamedTuple):
    """population: cells a generation. generations: including the first, drawn one. parents: the
    best cells of all so far, which children come of. mutation: probability that an edge of a
    mutated child draws its operation anew.
    """

    population: int
    generations: int
    parents: int
    mutation: float

    def budget(self, choices: Sequence[Sequence[int]]) -> int:
        """The number of cells that are evaluated: all generations, or the whole space if that is
        smaller.
        """
        return min(self.population * self.generations, prod(len(allowed) for allowed in choices))


class Evolution:
    """Guo et al., ECCV 2020, algorithm 1: half of a generation are mutated parents, half are
    crossed ones (every edge from either parent), and where these are known already the rest is
    drawn uniformly.

    Args:
        choices: the operations that every edge allows.
        value: of one cell; the larger the better. It is asked once a cell.
        random: all draws come from it.

    Attributes:
        found: every evaluated cell with its value, in order of evaluation.
    """

    def __init__(
        self,
        choices: Sequence[Sequence[int]],
        value: Callable[[Cell], float],
        scheme: Scheme,
        random: random.Random,
    ) -> None:
        self.choices, self.value, self.scheme, self.random = choices, value, scheme, random
        self.found: dict[Cell, float] = {}

    def run(self) -> Iterator[int]:
        """Evaluate the whole budget; yields the number of cells evaluated so far after each."""
        budget = self.scheme.budget(self.choices)
        while len(self.found) < budget:
            size = min(self.scheme.population, budget - len(self.found))
            for cell in self.generation(size):
                self.found[cell] = self.value(cell)
                yield len(self.found)

    def best(self) -> Cell:
        """The cell of the largest value; the first wins a tie."""
        return max(self.found, key=self.found.__getitem__)

    def generation(self, size: int) -> list[Cell]:
        """``size`` new cells, different from each other and from all that are known."""
        ranked = sorted(self.found, key=self.found.__getitem__, reverse=True)
        parents, fresh = ranked[: self.scheme.parents], dict[Cell, None]()
        makers = ((self.mutated, size // 2), (self.crossed, size)) if parents else ()
        for make, until in makers:
            for _ in range(_TRIES * (until - len(fresh))):
                if len(fresh) == until:
                    break
                self._add(fresh, make(parents))
        while len(fresh) < size:
            self._add(fresh, tuple(map(self.random.choice, self.choices)))
        return list(fresh)

    def mutated(self, parents: Sequence[Cell]) -> Cell:
        """A parent, every edge of which draws anew with probability ``mutation``."""
        draws = zip(self.random.choice(parents), self.choices, strict=True)
        return tuple(
            self.random.choice(allowed) if self.random.random() < self.scheme.mutation else now
            for now, allowed in draws
        )

    def crossed(self, parents: Sequence[Cell]) -> Cell:
        """Every edge from one of two parents."""
        pair = zip(self.random.choice(parents), self.random.choice(parents), strict=True)
        return tuple(map(self.random.choice, pair))

    def _add(self, fresh: dict[Cell, None], cell: Cell) -> None:
        if cell not in self.found:
            fresh[cell] = None
