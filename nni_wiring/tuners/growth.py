"""Growth by construction: cells start with one edge and only ever gain some, as in NEAT."""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.tuners.samplers import (
    ALL_CHOICES,
    Cell,
    Choices,
    EvolutionSampler,
    check_number,
)
from search_spaces.cell_codes import NASBENCH201

_GRAPH = NASBENCH201.graph
_NONE = NASBENCH201.operations.index("none")
_DIRECT = _GRAPH.edges.index((_GRAPH.inputs[0], _GRAPH.outputs[0]))


class GrowthSampler(EvolutionSampler):
    """Evolution that grows: the first cells have the edge from input to output alone, each with
    another operation; a child gains an edge between nodes of its parent, or a node with one edge
    in and one out, or has one operation changed. No edge becomes none.

    The first two are the structural mutations of NEAT (Stanley & Miikkulainen, Evolutionary
    Computation, 2002), less the edge that a new node replaces there; its crossover and species are
    left out, and parents and deaths are those of regularised evolution, so that the two differ in
    where they start and what they may lose. Every edge that grows is live at once.

    Args:
        population: cells kept.
        sample: how many of them compete to be the parent.
        grow: probability that a child gains edges, while there are any to gain.
    """

    name = "growth"

    def __init__(
        self,
        choices: Choices = ALL_CHOICES,
        seed: int = 0,
        population: int = 10,
        sample: int = 3,
        grow: float = 0.2,
    ) -> None:
        super().__init__(choices, seed, population, sample)
        check_number("grow", grow, 0.0, 1.0)
        if len(self.choices) != len(_GRAPH.edges):
            raise ConfigError("growth: it knows NAS-Bench-201 cells (six edges) only")
        self.grow = grow
        self.operations = tuple(
            tuple(operation for operation in allowed if operation != _NONE)
            for allowed in self.choices
        )
        self._seeds = list(self.operations[_DIRECT]) or [_NONE]
        self.random.shuffle(self._seeds)
        self._unborn = min(population, len(self._seeds))

    def first(self) -> Cell:
        """A cell with the one edge from input to output, and those that the space does not let be
        none; the operations of the one edge take turns.
        """
        self._seeds.append(self._seeds.pop(0))
        cell = [
            _NONE if _NONE in allowed else self.random.choice(allowed) for allowed in self.choices
        ]
        cell[_DIRECT] = self._seeds[-1]
        return tuple(cell)

    def mutated(self, cell: Cell) -> Cell:
        """The cell with more edges, or with another operation on one that it has."""
        growths = self.growths(cell)
        changes = [
            (edge, operation)
            for edge, now in enumerate(cell)
            if now != _NONE
            for operation in self.operations[edge]
            if operation != now
        ]
        if growths and (self.random.random() < self.grow or not changes):
            gained = self.random.choice(growths)
            return self._with(
                cell, {edge: self.random.choice(self.operations[edge]) for edge in gained}
            )
        return self._with(cell, dict([self.random.choice(changes)])) if changes else cell

    def growths(self, cell: Cell) -> list[tuple[int, ...]]:
        """The edges that a child may gain: one between nodes of the cell, or two by way of a node
        that it does not have yet.
        """
        nodes = {*_GRAPH.inputs, *_GRAPH.outputs}
        nodes |= {node for e, now in enumerate(cell) if now != _NONE for node in _GRAPH.edges[e]}
        free = {
            ends: edge
            for edge, ends in enumerate(_GRAPH.edges)
            if cell[edge] == _NONE and self.operations[edge]
        }
        between: list[tuple[int, ...]] = [
            (edge,) for ends, edge in free.items() if nodes.issuperset(ends)
        ]
        around: list[tuple[int, ...]] = [
            (entering, leaving)
            for (source, node), entering in free.items()
            for (start, target), leaving in free.items()
            if node == start and node not in nodes and nodes.issuperset((source, target))
        ]
        return between + around

    @staticmethod
    def _with(cell: Cell, changed: dict[int, int]) -> Cell:
        return tuple(changed.get(edge, now) for edge, now in enumerate(cell))
