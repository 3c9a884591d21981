"""Sampling strategies over cells, by ask and tell; the NNI tuners and the baselines share them.

A cell is a tuple of operation indices in edge order. Defaults are those of the NAS-Bench-201
paper (regularised evolution: population 10, sample 3; REINFORCE: Adam 0.01, moving average 0.9).
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nni_wiring.errors import ConfigError
from search_spaces.cell_codes import NASBENCH201

Cell = tuple[int, ...]
Choices = Sequence[Sequence[int]]
ALL_CHOICES: Choices = NASBENCH201.choices


class Sampler(ABC):
    """Proposes cells and learns from their values; larger values are better.

    ``tell`` may come in any order, late, or never (a trial that failed).

    Args:
        choices: the allowed operation indices of each edge.
        seed: of all random draws.
    """

    name: ClassVar[str]

    def __init__(self, choices: Choices = ALL_CHOICES, seed: int = 0) -> None:
        self.choices = tuple(tuple(edge) for edge in choices)
        if not self.choices or not all(self.choices):
            raise ConfigError("search space: every edge needs at least one operation")
        self.random = random.Random(seed)

    @abstractmethod
    def ask(self) -> Cell:
        """The next cell to evaluate."""

    @abstractmethod
    def tell(self, cell: Cell, value: float) -> None:
        """The value of a cell."""

    def draw(self) -> Cell:
        """A uniformly drawn cell."""
        pick = self.random.random
        return tuple([edge[int(pick() * len(edge))] for edge in self.choices])

    def neighbours(self, cell: Cell) -> list[Cell]:
        """All cells that differ in one edge, in edge order."""
        return [
            (*cell[:edge], operation, *cell[edge + 1 :])
            for edge, allowed in enumerate(self.choices)
            for operation in allowed
            if operation != cell[edge]
        ]


class RandomSampler(Sampler):
    """Uniform random search."""

    name = "random"

    def ask(self) -> Cell:
        """A uniformly drawn cell."""
        return self.draw()

    def tell(self, cell: Cell, value: float) -> None:
        """Learns nothing."""


class EvolutionSampler(Sampler):
    """Regularised evolution (Real et al., AAAI 2019): mutate the best of a sample, drop the oldest.

    Args:
        population: cells kept.
        sample: how many of them compete to be the parent.
    """

    name = "evolution"

    def __init__(
        self, choices: Choices = ALL_CHOICES, seed: int = 0, population: int = 10, sample: int = 3
    ) -> None:
        super().__init__(choices, seed)
        check_integer("population", population, 2, 10_000)
        check_integer("sample", sample, 1, population)
        self.sample = sample
        self.population: deque[tuple[float, Cell]] = deque(maxlen=population)
        self._unborn = population
        self._free = [edge for edge, allowed in enumerate(self.choices) if len(allowed) > 1]

    def ask(self) -> Cell:
        """A first cell until the population is full, then a mutated one."""
        if self._unborn > 0 or not self.population:
            self._unborn -= 1
            return self.first()
        pick, population = self.random.random, self.population
        parent = max([population[int(pick() * len(population))] for _ in range(self.sample)])[1]
        return self.mutated(parent)

    def first(self) -> Cell:
        """A cell of the first population, drawn uniformly."""
        return self.draw()

    def mutated(self, cell: Cell) -> Cell:
        """The cell with another operation on one edge; itself where no edge has a choice."""
        if not self._free:
            return cell
        pick = self.random.random
        edge = self._free[int(pick() * len(self._free))]
        allowed = self.choices[edge]
        operation = allowed[int(pick() * (len(allowed) - 1))]
        if operation == cell[edge]:  # the last one stands in for the present one
            operation = allowed[-1]
        return (*cell[:edge], operation, *cell[edge + 1 :])

    def tell(self, cell: Cell, value: float) -> None:
        """Add the cell as the youngest; the oldest falls out."""
        self.population.append((value, cell))


class ReinforceSampler(Sampler):
    """REINFORCE on one independent categorical distribution an edge.

    Args:
        learning_rate: of Adam.
        momentum: of the moving average of values that serves as the baseline.
    """

    name = "reinforce"

    def __init__(
        self,
        choices: Choices = ALL_CHOICES,
        seed: int = 0,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(choices, seed)
        check_number("learning_rate", learning_rate, 0.0, 10.0, open_below=True)
        check_number("momentum", momentum, 0.0, 1.0, open_above=True)
        self.learning_rate, self.momentum = learning_rate, momentum
        width = max(len(edge) for edge in self.choices)
        self.logits = np.zeros((len(self.choices), width))
        for row, allowed in enumerate(self.choices):
            self.logits[row, len(allowed) :] = -np.inf
        self._first = np.zeros_like(self.logits)
        self._second = np.zeros_like(self.logits)
        self._steps = 0
        self._sum = self._weight = 0.0

    @property
    def probabilities(self) -> np.ndarray:
        """(edges, operations of the edge) probabilities; 0 behind an edge's last operation."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    def ask(self) -> Cell:
        """A cell drawn from the policy."""
        weights = self.probabilities.tolist()
        picks = [
            self.random.choices(allowed, row[: len(allowed)])[0]
            for allowed, row in zip(self.choices, weights, strict=True)
        ]
        return tuple(picks)

    def tell(self, cell: Cell, value: float) -> None:
        """One step of Adam along (value - baseline) grad log p(cell)."""
        self._sum = self.momentum * self._sum + (1 - self.momentum) * value
        self._weight = self.momentum * self._weight + (1 - self.momentum)
        advantage = value - self._sum / self._weight
        gradient = self.probabilities
        for row, (allowed, operation) in enumerate(zip(self.choices, cell, strict=True)):
            gradient[row, allowed.index(operation)] -= 1.0
        gradient *= advantage
        self._steps += 1
        self._first += 0.1 * (gradient - self._first)
        self._second += 0.001 * (gradient**2 - self._second)
        first = self._first / (1 - 0.9**self._steps)
        second = self._second / (1 - 0.999**self._steps)
        self.logits -= self.learning_rate * first / (np.sqrt(second) + 1e-8)


class LocalSearchSampler(Sampler):
    """Local search (White et al., 2020): evaluate all neighbours, move to the best, else restart.

    A cell whose value is known is not proposed again within one climb.
    """

    name = "local_search"
    _PATIENCE = 8  # proposals made while answers are outstanding before those count as lost

    def __init__(self, choices: Choices = ALL_CHOICES, seed: int = 0) -> None:
        super().__init__(choices, seed)
        self.known: dict[Cell, float] = {}
        self._center: Cell | None = None
        self._around: list[Cell] = []
        self._queue: deque[Cell] = deque()
        self._waiting: set[Cell] = set()
        self._waited = 0

    def ask(self) -> Cell:
        """The next neighbour; where answers are outstanding, a random cell in between."""
        if not self._queue and not self._still_waiting():
            self._advance()
        if not self._queue:
            return self.draw()
        cell = self._queue.popleft()
        self._waiting.add(cell)
        return cell

    def tell(self, cell: Cell, value: float) -> None:
        """Remember the value."""
        self.known[cell] = max(value, self.known.get(cell, -math.inf))
        self._waiting.discard(cell)

    def _still_waiting(self) -> bool:
        if not self._waiting or self._waited >= self._PATIENCE:
            self._waiting.clear()
            self._waited = 0
            return False
        self._waited += 1
        return True

    def _advance(self) -> None:
        """Move to the best neighbour, or start anew from a random cell."""
        here = self.known.get(self._center, -math.inf) if self._center else -math.inf
        best = max(self._around, key=lambda c: self.known.get(c, -math.inf), default=None)
        if best is not None and self.known.get(best, -math.inf) > here:
            self._center, self._around = best, self.neighbours(best)
            fresh = [cell for cell in self._around if cell not in self.known]
            self.random.shuffle(fresh)
            self._queue.extend(fresh)
            if not fresh:
                self._advance()
            return
        start = self.draw()
        self._center, self._around = None, [start]
        self._queue.append(start)


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise ConfigError unless ``value`` is an integer in low..high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} = {value!r}: expected an integer in {low}..{high}")


def check_number(
    name: str,
    value: object,
    low: float,
    high: float,
    *,
    open_below: bool = False,
    open_above: bool = False,
) -> None:
    """Raise ConfigError unless ``value`` is a finite number in the interval."""
    inside = isinstance(value, (int, float)) and not isinstance(value, bool)
    if inside:
        number = float(value)  # type: ignore[arg-type]
        inside = (low < number if open_below else low <= number) and (
            number < high if open_above else number <= high
        )
    if not inside:
        left, right = "(" if open_below else "[", ")" if open_above else "]"
        raise ConfigError(f"{name} = {value!r}: expected a number in {left}{low}, {high}{right}")
