"""The rules of the studies by simulation: 1,000 synthetic studies under the null and an effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nni_wiring.studies import cost_vs_truth, growing
from nni_wiring.studies.marginals import accuracy_cube, mean_marginals
from nni_wiring.studies.pattern_runs import none_margins, width_margin
from nni_wiring.studies.registry import STUDIES, study
from nni_wiring.studies.statistics import (
    EquivalenceRule,
    FlipRule,
    FollowsRule,
    IdentityRule,
    NotBetterRule,
    ShareRule,
    SlopeRule,
    Verdict,
    random_walk_null,
)
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.registry import space_entry

REPEATS = 1000
DESCRIPTIVE = {"topology-vs-truth", "cost-ranks"}  # give no verdict
Simulated = Callable[[np.random.Generator], list[Verdict]]


def rules() -> Iterator[Any]:
    """Every rule of every study, with the number of its units, seeds or pairs, by default."""
    for name in STUDIES:
        found = study(name)
        assert found.rules or name in DESCRIPTIVE, name
        for number, rule in enumerate(found.rules):
            if "seeds" not in found.own:  # exact, of a population: nothing to simulate
                continue
            if isinstance(rule, FollowsRule):  # of networks, not seeds: test_correlated.py
                continue
            if not isinstance(rule, IdentityRule) and rule is not cost_vs_truth.RANKS:
                units = found.own.get("pairs", found.own["seeds"])
                yield pytest.param(rule, units, id=f"{name}-{number}")


def rates(simulate: Simulated, seed: int) -> tuple[int, float]:
    """(studies with any `holds`, share of verdicts that hold)."""
    generator = np.random.default_rng(seed)
    studies = [[v.verdict == "holds" for v in simulate(generator)] for _ in range(REPEATS)]
    return sum(map(any, studies)), float(np.mean(studies))


def assert_no_more_than_five_percent(simulate: Simulated, seed: int = 0) -> None:
    count, _ = rates(simulate, seed)
    assert stats.binomtest(count, REPEATS, 0.05, alternative="greater").pvalue > 0.01, count


def assert_clear_effect_is_seen(simulate: Simulated, seed: int = 1) -> None:
    assert rates(simulate, seed)[1] >= 0.8


NOISE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda g, n: g.standard_normal(n),
    "few values": lambda g, n: g.integers(-2, 3, n).astype(float),
}


def flips(
    rule: FlipRule, n: int, effect: float, noise: str, g: np.random.Generator
) -> list[Verdict]:
    sign = rule.sides == "two-sided"
    mean = effect * (g.choice([-1, 1]) if sign else 1)
    return rule.judge_all(
        {str(k): mean + rule.spread * NOISE[noise](g, n) for k in range(rule.family)}
    )


def shares(rule: ShareRule, n: int, null: float, share: float, g: np.random.Generator) -> Any:
    counts = {str(k): (int(g.binomial(n, share)), n) for k in range(rule.family)}
    return rule.judge_all(counts, null)


def margins(rule: EquivalenceRule, n: int, mean: float, g: np.random.Generator) -> list[Verdict]:
    return rule.judge_all(
        {str(k): mean + rule.spread * g.standard_normal(n) for k in range(rule.family)}
    )


def slopes(rule: SlopeRule, runs: int, slope: float, g: np.random.Generator) -> list[Verdict]:
    x = g.standard_normal(runs)
    edges = g.binomial(3, 1 / (1 + np.exp(-slope * x)))
    return rule.judge_all({"": (edges.tolist(), x.tolist())}, 3)


def assert_seldom_refuted_and_a_better_method_is_seen(rule: NotBetterRule, n: int) -> None:
    """Its claim is an absence: here `does not hold` is the discovery, and noise is no evidence."""

    def share(mean: float, spread: float) -> dict[str, float]:
        g = np.random.default_rng(4)
        found = [rule.judge(mean + spread * g.standard_normal(n)).verdict for _ in range(REPEATS)]
        return {verdict: found.count(verdict) / REPEATS for verdict in set(found)}

    assert n >= rule.needed()
    assert share(0.0, rule.spread).get("does not hold", 0.0) <= 0.05
    assert share(0.0, rule.spread)["holds"] >= 0.9
    assert share(2 * rule.spread, rule.spread)["does not hold"] >= 0.8
    assert share(-2 * rule.spread, rule.spread) == {"holds": 1.0}  # worse is not better
    assert share(0.0, 5 * rule.minimum).get("holds", 0.0) <= 0.01


@pytest.mark.parametrize(("rule", "seeds"), rules())
def test_a_rule_is_seldom_fooled_and_sees_a_clear_effect(rule: Any, seeds: int) -> None:
    twice = 2 * rule.minimum
    if isinstance(rule, FlipRule):
        assert seeds >= rule.needed(rule.family)
        for noise in NOISE:
            assert_no_more_than_five_percent(partial(flips, rule, seeds, 0.0, noise))
        assert_clear_effect_is_seen(partial(flips, rule, seeds, twice, "normal"))
    elif isinstance(rule, EquivalenceRule):
        for edge in (rule.minimum, -rule.minimum):
            assert_no_more_than_five_percent(partial(margins, rule, seeds, edge))
        assert_clear_effect_is_seen(partial(margins, rule, seeds, 0.0))
    elif isinstance(rule, NotBetterRule):
        assert_seldom_refuted_and_a_better_method_is_seen(rule, seeds)
    elif isinstance(rule, SlopeRule):
        runs = 2 * seeds  # two shares of the images
        fewer = partial(slopes, rule, runs)
        assert_no_more_than_five_percent(lambda g: fewer(0.0, g))
        assert_clear_effect_is_seen(lambda g: fewer(twice, g))
    else:
        assert isinstance(rule, ShareRule)
        minimal = space_entry("nasbench201_minimal")
        whole = random_walk_null(14)
        small = random_walk_null(40, graph=minimal.graph, allowed=minimal.operations())
        field = "share_falling" if rule is growing.FALLS else "share_growing"
        for null in (getattr(whole, field), getattr(small, field)):
            assert_no_more_than_five_percent(partial(shares, rule, seeds, null, null))
            assert_clear_effect_is_seen(partial(shares, rule, seeds, null, null + twice))


def walked_margins(seeds: int, scale: float, shift: float, g: np.random.Generator) -> list[float]:
    """T of P2 after random walks of alpha on the whole cell; the intermediate edge's none gains."""
    found = []
    for _ in range(seeds):
        alpha = scale * g.standard_normal((len(NB201.edges), len(OPERATIONS)))
        alpha[NB201.edge_index("1-2"), 0] += shift
        rows = {
            edge: dict(zip(OPERATIONS, row.tolist(), strict=True))
            for edge, row in zip(NB201.edge_names, alpha, strict=True)
        }
        found.append(width_margin(none_margins(rows), NB201))
    return found


def test_random_walks_do_not_prefer_width() -> None:
    """Edges are exchangeable under the walk, and the margin is skewed: a maximum enters it."""

    def simulate(g: np.random.Generator) -> list[Verdict]:
        return growing.WIDTH.judge_all({s: walked_margins(8, 1.0, 0.0, g) for s in "abc"})

    assert_no_more_than_five_percent(simulate)
    shifted = [growing.WIDTH.judge(walked_margins(8, 0.3, 0.5, np.random.default_rng(k))).verdict
               for k in range(200)]  # fmt: skip
    assert np.mean([verdict == "holds" for verdict in shifted]) >= 0.8


CUBE = accuracy_cube(load_table(), "cifar10", "valid")
TRUTH = stats.rankdata(mean_marginals(CUBE)[:, 1:], axis=1)  # (edges, real operations)


def ranked_study(order: np.ndarray | None, noise: float, g: np.random.Generator) -> list[Verdict]:
    """Two scores x two strategies, 8 seeds; ``order``: the mean score of the operations, the same
    on all edges; None: that of the truth.
    """
    values, scores = {}, {}
    for label in ("-cost, darts", "-cost, dsnas", "alpha, darts", "alpha, dsnas"):
        mean = TRUTH if order is None else np.tile(order, (len(TRUTH), 1))
        seeds = mean + noise * g.standard_normal((8, *TRUTH.shape))
        ranks = stats.rankdata(seeds, axis=-1)
        rho = ((ranks - 2.5) * (TRUTH - 2.5)).sum(axis=-1) / 5.0
        values[label] = rho.mean(axis=-1).tolist()
        scores[label] = seeds.reshape(-1, seeds.shape[-1])
    return cost_vs_truth.judged(values, scores, TRUTH)


def test_an_order_that_owes_nothing_to_the_truth_seldom_holds() -> None:
    """Any order of the operations' names, the same on all edges and seeds, is as likely."""

    def simulate(g: np.random.Generator) -> list[Verdict]:
        return ranked_study(g.permutation(4) + 1.0, 0.3, g)

    assert_no_more_than_five_percent(simulate)


def test_no_order_seldom_holds_and_the_true_order_is_seen() -> None:
    assert_no_more_than_five_percent(partial(ranked_study, np.zeros(4), 1.0))
    g = np.random.default_rng(3)
    noise = 2.0  # rank correlation about twice the least size
    rho = [ranked_study(None, noise, g)[0].effect for _ in range(50)]
    assert np.mean(rho) == pytest.approx(2 * cost_vs_truth.RANKS.minimum, abs=0.03)
    assert_clear_effect_is_seen(partial(ranked_study, None, noise))
