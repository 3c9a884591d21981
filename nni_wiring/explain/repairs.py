"""The best change of one edge, and of two, to a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nni_wiring.explain.landscape import Cell, Landscape
from nni_wiring.truth.benchmark import ACCURACY

MOST_EDGES = 2


@dataclass(frozen=True)
class Repair:
    """A change that makes a cell better.

    Attributes:
        changes: the new operation of every changed edge.
        arch: the repaired cell.
        accuracy: of it, in percent.
        gain: percent points over the cell.
    """

    changes: Mapping[str, str]
    arch: str
    accuracy: float
    gain: float


def best_repairs(land: Landscape, cell: Cell, most: int = MOST_EDGES) -> tuple[Repair, ...]:
    """The best repair of one edge, of two, up to `most`.

    One that gains nothing, or no more than one of fewer edges, is left out. Equal ones: the
    first edges win, then the first operations.
    """
    reached = land.accuracy(cell)
    if reached is None:
        return ()
    found: list[Repair] = []
    bar = reached
    for count in range(1, most + 1):
        accuracy, repaired = max(_best_of(land, cell, count), key=lambda pair: pair[0])
        if accuracy > bar:
            bar = accuracy
            found.append(_repair(land, cell, repaired, accuracy - reached))
    return tuple(found)


def _best_of(land: Landscape, cell: Cell, count: int) -> Iterator[tuple[float, Cell]]:
    """For every choice of `count` edges the best cell that they lead to, with its accuracy."""
    for edges in combinations(range(len(cell)), count):
        free: tuple[int | slice, ...] = tuple(
            slice(None) if edge in edges else place for edge, place in enumerate(cell)
        )
        reached = np.nan_to_num(land.accuracies[free], nan=-np.inf)
        places = np.unravel_index(int(reached.argmax()), reached.shape)
        repaired = list(cell)
        for edge, place in zip(edges, places, strict=True):
            repaired[edge] = int(place)
        yield float(reached.max()), tuple(repaired)


def _repair(land: Landscape, cell: Cell, repaired: Cell, gain: float) -> Repair:
    changes = {
        edge: land.space.operations[new]
        for edge, old, new in zip(land.space.edges, cell, repaired, strict=True)
        if old != new
    }
    accuracy = float(land.accuracies[repaired])
    return Repair(changes, land.arch(repaired), accuracy, round(gain, ACCURACY.decimals))
