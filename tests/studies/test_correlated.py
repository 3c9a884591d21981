"""Two correlations with one thing in common: a published value, simulation, enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from nni_wiring.studies.statistics import FollowsRule, jackknifed, shuffled_p, steiger

RULE = FollowsRule("a follows x and b does not", "x is exchanged", 0.3, "(Spearman)")


def test_steiger_s_z_is_near_williams_t_of_a_known_example() -> None:
    """r = .4 and .5, .1 between, n = 103: Williams' t is -0.89, p = .37 (R's psych, r.test)."""
    z = steiger(0.4, 0.5, 0.1, 103)
    assert z == pytest.approx(-0.89, abs=0.01)
    assert 2 * stats.norm.sf(-z) == pytest.approx(0.37, abs=0.01)
    assert steiger(0.5, 0.4, 0.1, 103) == pytest.approx(-z)
    assert steiger(0.3, 0.3, 0.5, 20) == 0.0
    assert math.isnan(steiger(1.0, 0.3, 0.3, 20)) and math.isnan(steiger(0.3, 0.3, 1.0, 20))


@pytest.mark.parametrize("between", [0.0, 0.7])
def test_steiger_s_z_is_standard_normal_where_both_are_equal(between: float) -> None:
    g = np.random.default_rng(0)
    covariance = [[1, 0.4, 0.4], [0.4, 1, between], [0.4, between, 1]]
    drawn = g.multivariate_normal(np.zeros(3), covariance, (1500, 60))
    found = []
    for sample in drawn:
        r = np.corrcoef(sample.T)
        found.append(steiger(r[0, 1], r[0, 2], r[1, 2], 60))
    assert np.mean(found) == pytest.approx(0, abs=0.1)
    assert np.std(found) == pytest.approx(1, abs=0.06)


def test_the_jackknife_s_error_is_that_of_the_left_out_values() -> None:
    g = np.random.default_rng(1)
    x = g.standard_normal(12)
    y = x + g.standard_normal(12)
    left = [stats.spearmanr(np.delete(x, k), np.delete(y, k))[0] for k in range(12)]
    error = math.sqrt(11 / 12 * sum((value - np.mean(left)) ** 2 for value in left))
    found = jackknifed([*x, math.nan], [*y, 1.0])
    assert found.mean == pytest.approx(stats.spearmanr(x, y)[0]) and found.values == 12
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 11) * error)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_shuffled_p_is_the_share_of_all_orders() -> None:
    x, y = [1.0, 2.0, 2.0, 3.0, 5.0, 4.0], [0.1, 0.5, 0.2, 0.4, 0.6, 0.9]
    observed = stats.spearmanr(x, y)[0]
    orders = [stats.spearmanr(order, y)[0] for order in itertools.permutations(x)]
    exact = np.mean([rho >= observed - 1e-12 for rho in orders])
    assert shuffled_p(x, y) == pytest.approx(exact, abs=0.005)
    assert math.isnan(shuffled_p([1.0, 1.0], [1.0, 2.0]))


def made(g: np.random.Generator, slope_a: float, slope_b: float, n: int = 24) -> list[np.ndarray]:
    x = g.integers(3, 9, n) / 2
    noise = g.standard_normal((2, n))
    return [x, slope_a * x + noise[0], slope_b * x + noise[1]]


def outcomes(slope_a: float, slope_b: float, studies: int) -> list[str]:
    g = np.random.default_rng(2)
    return [RULE.judge(*made(g, slope_a, slope_b)).verdict for _ in range(studies)]


def test_planted_effects_are_told_and_none_seldom() -> None:
    alone = outcomes(2.0, 0.0, 10)
    assert alone.count("holds") >= 8
    both = outcomes(2.0, 2.0, 8)
    assert both.count("holds in part") >= 7
    none = outcomes(0.0, 0.0, 40)
    fooled = sum(held.startswith("holds") for held in none)
    assert stats.binomtest(fooled, 40, 0.05, alternative="greater").pvalue > 0.01
    assert set(outcomes(-2.0, 0.0, 3)) == {"does not hold"}


def test_few_units_and_unknown_values_decide_nothing() -> None:
    x = np.arange(9.0)
    g = np.random.default_rng(3)
    found = RULE.judge([*x, 9.0], [*x, math.nan], g.standard_normal(10))
    assert (found.verdict, found.n) == ("cannot be said", 9)
    assert "n = 9, 10 are needed" in found.evidence
