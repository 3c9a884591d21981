"""The verdict rules of version 0.1.0, restated on one value per seed and rule of today.

The old rules pooled epochs, batches, edges or spaces of a seed. These units are made so that their
mean is the seed's value: all alike, or as independent as the spread over seeds allows.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from nni_wiring.studies import (
    bilevel_failure,
    cost_decomposition,
    failure_spaces,
    operation_costs,
    sensitivity,
    shuffling,
    skip_dominance,
    strength,
)
from nni_wiring.studies.statistics import FlipRule, interval

Values = dict[str, np.ndarray]  # rule -> (verdicts judged together, seeds)


class Seeds(NamedTuple):
    """The units inside the seeds: ``alike``, or independent of each other."""

    alike: bool
    g: np.random.Generator

    def units(self, values: np.ndarray, count: int, spread: float) -> np.ndarray:
        """(seeds,) -> (seeds, count), the mean of every row being the seed's value."""
        shape = (*values.shape, count)
        noise = np.zeros(shape) if self.alike else self.g.standard_normal(shape)
        noise -= noise.mean(axis=-1, keepdims=True)
        return values[..., None] + spread * np.sqrt(count) * noise


class Claim(NamedTuple):
    """A claim of 0.1.0: today's rules for it, seeds now and then, and whether it held then.

    Attributes:
        pooled: there are units inside the seeds.
    """

    study: str
    text: str
    rules: dict[str, FlipRule]
    seeds: int
    old_seeds: int
    old: Callable[[Values, Seeds], list[bool]]
    pooled: bool = False


def graded(share: float) -> bool:
    """``holds`` of 0.1.0 for the share of the cases in which a claim shows."""
    return share >= 0.9


def old_costs(values: Values, inside: Seeds) -> list[bool]:
    """24 means of an edge and operation over the batches of all seeds; none clearly against."""
    [[shares]] = values.values()
    level = stats.norm.ppf(np.clip(shares + 0.5, 1 / 48, 47 / 48))
    scores = stats.norm.ppf((np.arange(24) + 0.5) / 24)
    order = np.stack([inside.g.permutation(scores) for _ in shares], axis=1)
    batches = inside.units(order + level, 60, 1.0).reshape(24, -1)
    n = batches.shape[1]
    half = stats.t.ppf(0.975, n - 1) * batches.std(axis=1, ddof=1) / np.sqrt(n)
    mean = batches.mean(axis=1)
    return [graded(float((mean > 0).mean())) and not (mean + half < 0).any()]


def old_signs(values: Values, inside: Seeds) -> list[bool]:
    """8 epochs x 2 halves x correct and wrong images x seeds."""
    parts = [
        inside.units(values["correct"][0], 16, cost_decomposition.CORRECT.spread),
        inside.units(values["wrong"][0], 16, cost_decomposition.WRONG.spread),
    ]
    return [graded(float((np.array(parts) > 0).mean()))]


def old_all(values: Values, inside: Seeds) -> list[bool]:
    """Every seed shows it."""
    return [all(bool((rows > 0).all()) for rows in values.values())]


def old_strength(values: Values, inside: Seeds) -> list[bool]:
    """The interval over edges and seeds lies above 0 and above alpha's mean."""
    [tells], [better] = values["tells"], values["better"]
    edges = interval(inside.units(tells, 6, strength.TELLS.spread))
    return [edges.low > max(float((tells - better).mean()), 0.0)]


def old_shuffling(values: Values, inside: Seeds) -> list[bool]:
    """The order of the means; that the supernet keeps more than half is taken for granted."""
    return [
        bool(less.mean() > 0 and residual.mean() > 0)
        for less, residual in zip(values["supernet"], values["residual"], strict=True)
    ]


def old_piles(values: Values, inside: Seeds) -> list[bool]:
    """More than half of the edges are empty in every space."""
    spaces = failure_spaces.STUDY.own["spaces"]
    chance = np.array([failure_spaces.chance_empty(space) for space in spaces])
    found = inside.units(values["piles up"][0], len(spaces), failure_spaces.PILES_UP.spread)
    return [bool((found.mean(axis=0) + chance > 50).all())]


def old_rescue(values: Values, inside: Seeds) -> list[bool]:
    """Better on nine of ten seeds and spaces; that magnitude failed in all is taken for granted."""
    found = inside.units(values["better"][0], 3, failure_spaces.BETTER.spread)
    return [graded(float((found > 0).mean()))]


def old_mean(above: float) -> Callable[[Values, Seeds], list[bool]]:
    """The mean over seeds lies above a number."""
    return lambda values, inside: [float(row.mean()) > above for [row] in values.values()]


CLAIMS = [
    Claim("cost-at-initialisation", "costs are positive",
          {"positive": operation_costs.POSITIVE}, 8, 3, old_costs, pooled=True),
    Claim("cost-after-training", "costs are negative",
          {"negative": operation_costs.NEGATIVE}, 8, 2, old_costs, pooled=True),
    Claim("cost-decomposition", "signs of correct and wrong images",
          {"correct": cost_decomposition.CORRECT, "wrong": cost_decomposition.WRONG},
          6, 1, old_signs, pooled=True),
    Claim("bilevel-failure", "L - H is larger on the search half (a)",
          {"gap": bilevel_failure.GAP}, 8, 4, old_all),
    Claim("sensitivity", "frozen weights: costs positive, and higher",
          {"positive": sensitivity.POSITIVE, "fall": sensitivity.FALL}, 8, 1, old_all),
    Claim("strength", "perturbation tells strength, alpha does not",
          {"tells": strength.TELLS, "better": strength.BETTER}, 8, 1, old_strength, pooled=True),
    Claim("skip-dominance", "alpha of skip rises above (b)",
          {"dominates": skip_dominance.DOMINATES}, 8, 2, old_mean(0.0)),
    Claim("skip-dominance", "better supernet, more skip (c)",
          {"better": skip_dominance.BETTER}, 8, 2, old_mean(0.5)),
    Claim("shuffling", "a plain network loses more (d)",
          {"supernet": shuffling.LESS, "residual": shuffling.RESIDUAL}, 8, 1, old_shuffling),
    Claim("failure-spaces", "magnitude piles up empty edges",
          {"piles up": failure_spaces.PILES_UP}, 8, 2, old_piles, pooled=True),
    Claim("failure-spaces", "perturbation rescues (e)",
          {"better": failure_spaces.BETTER}, 8, 2, old_rescue, pooled=True),
]  # fmt: skip
