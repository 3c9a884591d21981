"""The tests behind the verdicts against closed forms, enumeration by hand and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from nni_wiring.studies.statistics import (
    EquivalenceRule,
    FlipRule,
    IdentityRule,
    ShareRule,
    SlopeRule,
    binomial_verdict,
    equivalence,
    flips_needed,
    holm,
    interval,
    logistic_slope,
    mantel,
    names_permutation,
    paired_flip,
    partial_spearman,
    permutation_slope,
    random_walk_null,
    runs_needed,
    spearman,
)
from search_spaces.cell_graph import NB201
from search_spaces.registry import space_entry


def test_intervals_and_rank_correlation() -> None:
    values = [1.0, 2.5, float("nan"), 0.5, 4.0]
    known = [v for v in values if v == v]
    low, high = stats.t.interval(0.95, len(known) - 1, np.mean(known), stats.sem(known))
    found = interval(values)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(known), low, high))
    assert found.values == 4
    assert spearman([1, 2, float("nan"), 9], [10, 30, 0, 20]) == pytest.approx(0.5)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_sign_flips_by_hand() -> None:
    # the eight sums of +-1 +-2 +-4: 7, 5, 3, 1 and their opposites; 3 = 1 - 2 + 4
    assert paired_flip([1, -2, 4], "greater") == 3 / 8
    assert paired_flip([1, -2, 4]) == 6 / 8
    assert paired_flip([3, 3, 3, 3, 3], "greater") == 1 / 32
    assert paired_flip([3, 3, 3, 3, 3]) == 2 / 32
    assert paired_flip([-1, -2], "greater") == 1.0
    assert paired_flip([0.0, 0.0]) == 1.0
    assert paired_flip([0.1, 0.2, -0.3], "greater") == 5 / 8  # 0 up to rounding: four sums >= 0 + 1
    assert math.isnan(paired_flip([float("nan")]))
    assert paired_flip([3, 3, float("nan"), 3], "greater") == 1 / 8


def test_sign_flips_against_scipy_and_at_random_beyond_sixteen() -> None:
    g = np.random.default_rng(0)
    x = g.normal(0.4, 1, 9)
    for sides, alternative in (("greater", "greater"), ("two-sided", "two-sided")):
        reference = stats.permutation_test(
            (x,),
            np.mean,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative=alternative,
        )
        assert paired_flip(x, sides) == pytest.approx(reference.pvalue)
    many = g.normal(0.35, 1, 30)
    normal = stats.norm.sf(many.sum() / np.sqrt((many**2).sum()))
    assert paired_flip(many, "greater") == pytest.approx(normal, abs=0.01)
    assert paired_flip(many, "greater") == paired_flip(many, "greater")  # a fixed seed
    assert paired_flip(np.ones(40)) == 1 / 20_001


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04, never falling: .04 .06 .06 .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])
    found = holm([0.02, float("nan"), 0.5])
    assert found[[0, 2]] == pytest.approx([0.04, 0.5]) and np.isnan(found[1])
    assert len(holm([])) == 0


def test_equivalence_against_two_tests_of_scipy() -> None:
    x = np.array([0.2, -0.1, 0.4, 0.0, 0.3, -0.2])
    found = equivalence(x, 0.5)
    above = stats.ttest_1samp(x, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(x, 0.5, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below))
    low, high = stats.t.interval(0.9, 5, x.mean(), stats.sem(x))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.p < 0.05) == (low > -0.5 and high < 0.5)
    for margin in (0.2, 0.3, 0.4):
        inside = -margin < found.low and found.high < margin
        assert (equivalence(x, margin).p < 0.05) == inside
    assert (equivalence([0.25] * 4, 0.5).p, equivalence([0.5] * 4, 0.25).p) == (0.0, 1.0)


def test_mantel_by_enumeration_and_at_random() -> None:
    g = np.random.default_rng(1)
    points = g.normal(size=(5, 2))
    a = np.linalg.norm(points[:, None] - points, axis=-1)
    b = a + np.abs(np.add.outer(n := g.normal(0, 0.3, 5), n))
    upper = np.triu_indices(5, 1)
    rho = [
        stats.spearmanr(a[upper], b[np.ix_(order, order)][upper]).statistic
        for order in map(list, itertools.permutations(range(5)))
    ]
    found = mantel(a, b)
    assert found.rho == pytest.approx(rho[0])
    assert found.p == pytest.approx(np.mean([r >= rho[0] - 1e-9 for r in rho]))
    both = mantel(a, b, "two-sided")
    assert both.p == pytest.approx(np.mean([abs(r) >= abs(rho[0]) - 1e-9 for r in rho]))
    many = g.normal(size=(20, 3))
    d = np.linalg.norm(many[:, None] - many, axis=-1)
    assert mantel(d, d).p == 1 / 2001 and mantel(d, d).rho == pytest.approx(1.0)
    other = g.normal(size=(20, 3))
    assert mantel(d, np.linalg.norm(other[:, None] - other, axis=-1)).p > 0.05
    assert math.isnan(mantel(np.ones((4, 4)), a[:4, :4]).p)


def test_names_of_operations_by_enumeration() -> None:
    g = np.random.default_rng(2)
    scores, truth = g.normal(size=(7, 4)), np.tile([2.0, 3.0, 4.0, 1.0], (7, 1))
    scores[0, 1] = scores[0, 2]  # a tie
    means = [
        np.mean(
            [stats.spearmanr(s, t[list(o)]).statistic for s, t in zip(scores, truth, strict=True)]
        )
        for o in itertools.permutations(range(4))
    ]
    expected = np.mean([m >= means[0] - 1e-9 for m in means])
    assert names_permutation(scores, truth) == pytest.approx(expected)
    assert names_permutation(truth * 3, truth) == 1 / 24
    assert math.isnan(names_permutation(np.full((3, 4), np.nan), truth[:3]))


def test_partial_rank_correlation_is_that_of_residual_ranks() -> None:
    g = np.random.default_rng(3)
    time = np.arange(20.0)
    a, b = time + g.normal(0, 4, 20), time + g.normal(0, 4, 20)
    ranks = [stats.rankdata(v) for v in (a, b, time)]
    left = [r - np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) for r in ranks[:2]]
    assert partial_spearman(a, b, time) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert math.isnan(partial_spearman(time, b, time))


def test_the_logistic_slope_is_the_closed_form_of_two_groups() -> None:
    # two values of x: the slope is the log odds ratio over their distance in standard deviations
    # (a tenth of a success and of a failure is added to every run's three trials)
    edges, x = [1, 1, 1, 3, 3, 3], [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]
    odds = (3.1 / 0.1) / (1.1 / 2.1)
    found = logistic_slope(edges, 3, x)
    assert found.slope == pytest.approx(math.log(odds) * np.std(x, ddof=1) / 2.0)
    # leaving one run out changes no odds where the runs of a group are alike
    assert found.error == pytest.approx(0.0, abs=1e-8)
    assert logistic_slope([0, 1, 2, 3], 3, [0.0, 1.0, 2.0, 2.5]).error > 0
    assert math.isnan(logistic_slope(edges, 3, [1.0] * 6).slope)


def test_the_slope_is_permuted_over_all_orders_of_few_runs() -> None:
    edges, x = [0, 1, 1, 3, 2], [0.1, 0.3, 0.2, 0.9, 0.5]
    scores = [np.dot(order, np.array(edges) - 1.4) for order in itertools.permutations(x)]
    expected = np.mean([s >= scores[0] - 1e-9 for s in scores])
    assert permutation_slope(edges, x) == pytest.approx(expected)
    assert permutation_slope(range(20), np.arange(20.0)) == 1 / 20_001


def test_the_fewest_units_that_can_decide() -> None:
    assert (flips_needed("greater"), flips_needed("two-sided")) == (5, 6)
    assert [runs_needed(null) for null in (1 / 2, 2 / 3, 0.73, 1 / 3, 0.08)] == [5, 8, 10, 3, 2]
    for sides in ("greater", "two-sided"):
        for family in (1, 2, 3, 8):
            n = flips_needed(sides, family)
            assert family * paired_flip(np.ones(n), sides) < 0.05
            assert family * paired_flip(np.ones(n - 1), sides) >= 0.05


def test_binomial_verdicts() -> None:
    assert binomial_verdict(4, 4, 0.5) == "cannot be said"  # 1/16
    assert binomial_verdict(5, 5, 0.5) == "holds"  # 1/32
    assert binomial_verdict(2, 2, 0.7) == "cannot be said"  # p = .49, once called "holds"
    assert binomial_verdict(30, 100, 0.2, minimum=0.15) == "holds in part"
    assert binomial_verdict(20, 100, 0.2, minimum=0.15) == "does not hold"
    assert binomial_verdict(20, 100, 0.2, minimum=0.05) == "cannot be said"
    verdict = ShareRule("c", "n", 0.0, "share").judge(3, 6, 0.08)
    closed = sum(math.comb(6, k) * 0.08**k * 0.92 ** (6 - k) for k in range(3, 7))
    assert verdict.p == pytest.approx(closed)
    low, high = stats.beta.ppf(0.025, 3, 4), stats.beta.ppf(0.975, 4, 3)
    assert (verdict.low, verdict.high) == pytest.approx((low, high))


RULE = FlipRule("claim", "null in words", minimum=1.0, unit="points")


def test_the_four_outcomes_of_a_flip_rule() -> None:
    assert RULE.judge([2, 3, 2, 3, 2]).verdict == "holds"
    assert RULE.judge([0.2, 0.3, 0.2, 0.3, 0.2]).verdict == "holds in part"
    assert RULE.judge([-2, -3, -2, -3, -2]).verdict == "does not hold"
    assert RULE.judge([3, -2, 4, -3, 2, 1]).verdict == "cannot be said"  # too noisy
    few = RULE.judge([2, 3, 2, 3])
    assert few.verdict == "cannot be said" and "5 seeds are needed" in few.evidence
    assert RULE.judge([]).verdict == "cannot be said"
    assert RULE.judge([float("nan")] * 6).verdict == "cannot be said"
    both = FlipRule("claim", "null", minimum=1.0, unit="points", sides="two-sided")
    assert both.judge([-2, -3, -2, -3, -2, -2]).verdict == "holds"
    assert both.judge([-2, -3, -2, -3, -2]).verdict == "cannot be said"
    assert both.judge([0.1, -0.1, 0.2, -0.2, 0.1, 0]).verdict == "does not hold"


def test_a_verdict_says_what_it_rests_on() -> None:
    found = RULE.judge([2, 3, 2, 3, 2], "a note")
    assert (found.n, found.p, found.null, found.minimum) == (5, 1 / 32, "null in words", 1.0)
    for part in ("n = 5 seeds", "p = 0.031", "null in words", "least size 1", "a note"):
        assert part in found.evidence
    together = RULE.judge_all({"a": [2, 3, 2, 3, 2], "b": [0, 0, 0, 0, 0]})
    assert together[0].adjusted == 2 / 32 and together[0].verdict == "cannot be said"
    assert together[0].claim == "claim (a)" and "0.062 after Holm" in together[0].evidence


def test_equivalence_slope_and_identity_rules() -> None:
    rule = EquivalenceRule("c", "n", minimum=0.5, unit="points")
    assert rule.judge([0.2, -0.1, 0.1, 0.0, -0.2]).verdict == "holds"
    assert rule.judge([2.0, 2.1, 1.9, 2.2, 2.0]).verdict == "does not hold"
    assert rule.judge([2.0, -2.1, 1.9, -2.2, 2.0]).verdict == "cannot be said"
    assert rule.judge([0.0, 0.1]).verdict == "cannot be said"
    slope = SlopeRule("c", "n", minimum=0.69, unit="log odds ratio")
    x = np.linspace(-1, 1, 10).tolist()
    steep = [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert slope.judge_all({"": (steep, x)}, 3)[0].verdict == "holds"
    assert slope.judge_all({"": (steep[::-1], x)}, 3)[0].verdict == "does not hold"
    assert slope.judge_all({"": (steep[:5], x[:5])}, 3)[0].verdict == "cannot be said"
    identity = IdentityRule("c", 1e-10)
    verdicts = [identity.judge(worst, 3).verdict for worst in (1e-12, 1e-3, float("nan"))]
    assert verdicts == ["holds", "does not hold", "cannot be said"]


def test_the_null_of_a_random_walk() -> None:
    null = random_walk_null(epochs=8, walks=400)
    assert null.selected_edges == pytest.approx(6 * 4 / 5, abs=0.2)  # none is one of five
    assert 0 < null.growing_index < 6
    assert random_walk_null(epochs=1, walks=50).growing_index == 0.0


def test_shares_of_walks_of_one_epoch_are_binomial() -> None:
    """One epoch: every edge is none with probability 1/5, and nothing can come back."""
    null = random_walk_null(epochs=1, walks=20_000)
    fell = 5 * 0.8 * 0.2**5 + 0.2**5 + 0.8 * 0.2**5  # at most one of six selected
    assert null.share_falling == pytest.approx(fell, abs=0.001)
    assert null.share_growing == pytest.approx(0.0, abs=1e-4) and null.share_returning == 0.0


def test_the_margin_of_a_walk_knows_no_role() -> None:
    for name, share in (("nasbench201", 1 / 3), ("nasbench201_minimal", 1 / 3), ("minimal", 1 / 5)):
        entry = space_entry(name)
        null = random_walk_null(4, 8000, graph=entry.graph, allowed=entry.operations())
        assert null.inner_largest == pytest.approx(share, abs=0.02)
        assert abs(null.margin[0]) < 4 * null.margin[1] / math.sqrt(8000)
    fixed = dict.fromkeys(NB201.edge_names, ("skip_connect",))
    assert math.isnan(random_walk_null(4, 10, allowed=fixed).inner_largest)


def test_the_null_leaves_fixed_edges_out() -> None:
    entry = space_entry("nasbench201_minimal")
    null = random_walk_null(1, walks=2000, graph=entry.graph, allowed=entry.operations())
    assert null.selected_edges == pytest.approx(3 * 4 / 5, abs=0.06)
