"""Multi-trial search over the table in process: thousands of searches with a simulated clock.

A search sees validation accuracies of the tabulated short training and pays its seconds. Its
regret is that of the cell it would return: the best seen so far, judged after full training.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import ConfigError
from nni_wiring.truth import Measure, TruthTable
from nni_wiring.tuners.bayes import BayesSampler
from nni_wiring.tuners.growth import GrowthSampler
from nni_wiring.tuners.samplers import (
    Choices,
    EvolutionSampler,
    LocalSearchSampler,
    RandomSampler,
    ReinforceSampler,
    Sampler,
    check_integer,
)

METHODS: dict[str, type[Sampler]] = {
    sampler.name: sampler
    for sampler in (
        RandomSampler,
        EvolutionSampler,
        GrowthSampler,
        ReinforceSampler,
        LocalSearchSampler,
        BayesSampler,
    )
}
_GRID = 200  # points of a curve
_MOST_EVALUATIONS = 10_000_000


class Budget(NamedTuple):
    """The length of one search: ``unit`` is "seconds" of simulated training or "evaluations"."""

    amount: float
    unit: str


def parse_budget(text: str) -> Budget:
    """Read "12000s" (simulated seconds) or "500" (evaluations); ConfigError for anything else."""
    seconds = text.endswith("s")
    number = text.removesuffix("s")
    try:
        amount = float(number) if seconds else int(number)
    except ValueError:
        amount = -1
    if not 0 < amount < float("inf"):
        raise ConfigError(f"budget {text!r}: expected evaluations such as 500, or 12000s")
    return Budget(float(amount), "seconds" if seconds else "evaluations")


class Task(NamedTuple):
    """The space and its truth as plain lists by code, since a search reads single numbers.

    Attributes:
        choices: the operation indices of each edge.
        signal: metric that the search sees, in its unit, negated if it is to be small.
        seconds: what seeing it costs.
        score: metric that counts in the end, of the same sign as the signal.
        best: the highest score.
        measure: the metric.
        signal_epochs: length of the training that the search sees.
        split: of the score; "test" where the table has it.
    """

    choices: Choices
    signal: list[float]
    seconds: list[float]
    score: list[float]
    best: float
    measure: Measure
    signal_epochs: int
    dataset: str
    split: str
    table: str


def make_task(table: TruthTable, dataset: str, signal_epochs: int | None = None) -> Task:
    """Read a task off a table.

    Args:
        table: where accuracies and seconds come from.
        dataset: the data set.
        signal_epochs: which validation metric the search sees; None for the shortest training
            that the table has.

    Raises:
        BenchmarkError: the table lacks what was asked for, or some of the cells.
    """
    benchmark, measure = table.benchmark, table.benchmark.measure(dataset)
    if signal_epochs is None:
        lengths = benchmark.dataset(dataset).protocol.epochs
        known = [epochs for epochs in lengths if table.has(dataset, "valid", epochs)]
        signal_epochs = min(known, default=lengths[-1])
    split = "test" if table.has(dataset, "test") else "valid"
    columns = (
        measure.sign * table.values(dataset, "valid", signal_epochs),
        table.seconds(dataset, signal_epochs),
        measure.sign * table.values(dataset, split),
    )
    by_code = np.empty((len(columns), len(table)))
    by_code[:, table.codes] = columns
    known_cells = np.isfinite(by_code).all(axis=0)
    choices = _choices(benchmark.codec.cells[known_cells])
    if choices is None:
        raise ConfigError(
            f"table {table.name!r} is incomplete; a baseline needs every cell of a space"
        )
    signal, seconds, score = by_code.tolist()
    return Task(
        choices=choices,
        signal=signal,
        seconds=seconds,
        score=score,
        best=float(by_code[2, known_cells].max()),
        measure=measure,
        signal_epochs=signal_epochs,
        dataset=dataset,
        split=split,
        table=table.name,
    )


def _choices(cells: NDArray[np.integer]) -> Choices | None:
    """The operations of each edge of (n, edges) cells; None unless these are all their cells."""
    found = tuple(tuple(np.unique(column).tolist()) for column in cells.T)
    return found if len(cells) and prod(map(len, found)) == len(cells) else None


class Search(NamedTuple):
    """One search: when its incumbent changed, and to what.

    ``at`` is the budget used so far, ``codes`` the new incumbents; the first entry is the first
    evaluation.
    """

    at: list[float]
    codes: list[int]
    evaluations: int
    seconds: float


def run_search(sampler: Sampler, task: Task, budget: Budget) -> Search:
    """Search until the budget is used up; an evaluation that exceeds it does not count."""
    ask, tell = sampler.ask, sampler.tell
    signal, seconds = task.signal, task.seconds
    by_seconds, base = budget.unit == "seconds", len(task.choices[0])
    at: list[float] = []
    codes: list[int] = []
    best, clock, count = float("-inf"), 0.0, 0
    while count < _MOST_EVALUATIONS:
        cell = ask()
        code = 0
        for operation in cell:
            code = code * base + operation
        clock += seconds[code]
        if (clock if by_seconds else count + 1) > budget.amount:
            clock -= seconds[code]
            break
        count += 1
        value = signal[code]
        if value > best:
            best = value
            at.append(clock if by_seconds else float(count))
            codes.append(code)
        tell(cell, value)
    return Search(at, codes, count, clock)


@dataclass(frozen=True)
class Baseline:
    """Searches of one method, repeated.

    Attributes:
        method: its name.
        grid: (points,) budget used, in the budget's unit.
        quartiles: (3, points) regret in the metric's unit: lower quartile, median, upper quartile;
            NaN before most searches have seen a cell.
        scores: (repeats,) final score of the cell each search returns.
        evaluations: mean number of evaluations of a search.
        task, budget: what was searched, for how long.
    """

    method: str
    grid: NDArray[np.float64]
    quartiles: NDArray[np.float64]
    scores: NDArray[np.float64]
    evaluations: float
    task: Task
    budget: Budget

    def summary(self) -> dict[str, Any]:
        """The figures of a table row, ready for JSON; accuracies in percent."""
        regret = self.task.best - self.scores
        lower, median, upper = (float(x) for x in np.percentile(regret, (25, 50, 75)))
        return {
            "method": self.method,
            "repeats": len(self.scores),
            "evaluations": round(self.evaluations, 1),
            "mean": round(self.task.measure.sign * float(self.scores.mean()), 4),
            "std": round(float(self.scores.std()), 4),
            "regret": {
                "lower": round(lower, 4),
                "median": round(median, 4),
                "upper": round(upper, 4),
            },
        }


def run_baseline(method: str, task: Task, budget: Budget, repeats: int, seed: int) -> Baseline:
    """Repeat one method; repeat r uses a seed of its own that follows from ``seed``.

    Raises:
        ConfigError: an unknown method, or too small a budget for a single evaluation.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; allowed: {', '.join(METHODS)}")
    check_integer("repeats", repeats, 1, 1_000_000)
    seeds = np.random.SeedSequence(seed).generate_state(repeats, np.uint64).tolist()
    searches = [
        run_search(METHODS[method](choices=task.choices, seed=s), task, budget) for s in seeds
    ]
    if not all(search.codes for search in searches):
        raise ConfigError(f"budget {budget.amount:g} {budget.unit}: not one evaluation fits")
    grid = np.linspace(0.0, budget.amount, _GRID + 1)[1:]
    if budget.unit == "evaluations":
        grid = np.unique(np.ceil(grid))
    regrets = np.stack([_regret_on(grid, search, task) for search in searches])
    quartiles = np.percentile(regrets, (25, 50, 75), axis=0)
    scores = np.array([task.score[search.codes[-1]] for search in searches])
    evaluations = float(np.mean([search.evaluations for search in searches]))
    return Baseline(method, grid, quartiles, scores, evaluations, task, budget)


def _regret_on(grid: NDArray[np.float64], search: Search, task: Task) -> NDArray[np.float64]:
    """Regret of the incumbent at every grid point, NaN before the first evaluation."""
    regrets = np.array([np.nan, *(task.best - task.score[code] for code in search.codes)])
    return regrets[np.searchsorted(search.at, grid, side="right")]
