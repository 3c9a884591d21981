"""How often the verdict rules of version 0.1.0, and today's, find an effect in synthetic studies.

    python docs/results/old_rules.py        # prints the table of README.md; half a CPU minute

One value per seed and rule as in tests/studies/test_verdict_rules.py: normal, with the spread that
the rule presumes, about 0 (null) or about twice its least size (clear effect).
"""

from collections.abc import Iterator

import numpy as np
from rules_of_0_1_0 import CLAIMS, Claim, Seeds, graded
from scipy import stats

from nni_wiring.studies import cost_vs_truth, growing, skip_dominance
from nni_wiring.studies.marginals import accuracy_cube, mean_marginals
from nni_wiring.studies.statistics import (
    FlipRule,
    interval,
    partial_spearman,
    random_walk_null,
    spearman,
)
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.registry import space_entry

REPEATS = 1000


def held(rule: FlipRule, rows: np.ndarray) -> list[bool]:
    """Today's verdicts on (verdicts, seeds)."""
    found = rule.judge_all({str(k): row for k, row in enumerate(rows)})
    return [verdict.verdict == "holds" for verdict in found]


def claim_studies(claim: Claim, clear: bool, alike: bool) -> Iterator[dict[str, list[bool]]]:
    """Whether each verdict of a synthetic study holds; ``old``: today's seeds, ``own``: theirs."""
    g, inside = np.random.default_rng(int(clear)), Seeds(alike, np.random.default_rng(2))
    for _ in range(REPEATS):
        values = {
            name: 2 * rule.minimum * clear
            + rule.spread * g.standard_normal((rule.family, claim.seeds))
            for name, rule in claim.rules.items()
        }
        few = {name: rows[:, : claim.old_seeds] for name, rows in values.items()}
        yield {
            **{f"new, {name}": held(rule, values[name]) for name, rule in claim.rules.items()},
            "old": claim.old(values, inside),
            "own": claim.old(few, inside),
        }


def p1_studies(clear: bool, null: float) -> Iterator[dict[str, list[bool]]]:
    """P1: 3 strategies; runs that fall to none and grow back, as often as walks or .5 more."""
    g = np.random.default_rng(int(clear))
    for _ in range(REPEATS):
        runs = g.random((3, 8)) < null + 2 * growing.RETURNS.minimum * clear
        counts = {str(k): (int(row.sum()), 8) for k, row in enumerate(runs)}
        verdicts = growing.RETURNS.judge_all(counts, null)
        yield {
            "new": [verdict.verdict == "holds" for verdict in verdicts],
            "old": [graded(float(runs.mean()))],
            "own": [graded(float(runs[:, :2].mean()))],
        }


def p2_studies(clear: bool) -> Iterator[dict[str, list[bool]]]:
    """P2: 3 strategies x 8 walks of alpha over 14 epochs, whose margins spread as the rule says;
    clear: none of the intermediate edge drifts up by twice the least size.
    """
    g, rule = np.random.default_rng(int(clear)), growing.WIDTH
    role = np.array([NB201.role(edge) for edge in NB201.edge_names])
    step = rule.spread / random_walk_null(14).margin[1]
    drift = 2 * rule.minimum * clear * np.arange(1, 15)[:, None] / 14
    for _ in range(REPEATS):
        moves = step * g.standard_normal((3, 8, 14, len(role), len(OPERATIONS)))
        margin = moves.cumsum(axis=2)
        margin = margin[..., 0] - margin[..., 1:].max(axis=-1) + drift * (role == "intermediate")
        last = margin[..., -1, :]
        width = last[..., role == "intermediate"].mean(-1) - last[..., role == "input"].mean(-1)
        seldom = (margin >= 0) * np.arange(1, 15)[:, None]  # epochs that end at none, from 1
        recovery = np.where(margin[..., -1, :] >= 0, np.inf, seldom.max(axis=-2))
        first = recovery[..., role == "input"].min(axis=-1)
        second = recovery[..., role == "intermediate"].min(axis=-1)
        yield {
            "new": held(rule, width),
            "old": [_earlier(first, second)],
            "own": [_earlier(first[:, :2], second[:, :2])],
        }


def _earlier(first: np.ndarray, second: np.ndarray) -> bool:
    apart = first != second
    return bool(apart.any()) and graded(float((first < second)[apart].mean()))


def rank_studies(order: str) -> Iterator[dict[str, list[bool]]]:
    """Two scores x two strategies x 8 seeds. order: of the operations' scores, "none", "random"
    (the same on all edges and seeds) or "true" (rank correlation about twice the least size).
    """
    cube = accuracy_cube(load_table(), "cifar10", "valid")
    truth = stats.rankdata(mean_marginals(cube)[:, 1:], axis=1)
    g = np.random.default_rng(int(order == "true"))
    noise = {"none": 1.0, "random": 0.3, "true": 2.0}[order]
    for _ in range(REPEATS):
        mean = {"none": np.zeros_like(truth), "true": truth}.get(order)
        if mean is None:
            mean = np.tile(g.permutation(4) + 1.0, (len(truth), 1))
        scores = {
            f"{score}, {strategy}": mean + noise * g.standard_normal((8, *truth.shape))
            for score in ("-cost", "alpha")
            for strategy in ("darts", "dsnas")
        }
        rho = {
            label: ((stats.rankdata(s, axis=-1) - 2.5) * (truth - 2.5)).sum(axis=-1) / 5.0
            for label, s in scores.items()
        }
        verdicts = cost_vs_truth.judged(
            {label: x.mean(axis=-1).tolist() for label, x in rho.items()},
            {label: s.reshape(-1, 4) for label, s in scores.items()},
            truth,
        )
        yield {
            "new": [verdict.verdict == "holds" for verdict in verdicts],
            "old": _above(rho, 8),
            "own": _above(rho, 2),
        }


def _above(rho: dict[str, np.ndarray], seeds: int) -> list[bool]:
    """A verdict a score: the intervals over edges and seeds of both strategies lie above 0."""
    lows = [interval(x[:seeds]).low for x in rho.values()]
    return [min(lows[:2]) > 0, min(lows[2:]) > 0]


def trend_studies() -> Iterator[dict[str, list[bool]]]:
    """Accuracy and skip's share both rise over 12 epochs, by one standard deviation of their noise
    per epoch, and have nothing else in common.
    """
    g, epochs = np.random.default_rng(0), np.arange(12.0)
    for _ in range(REPEATS):
        pairs = epochs + g.standard_normal((8, 2, 12))
        partial = np.array([partial_spearman(a, s, epochs) for a, s in pairs])
        raw = np.array([spearman(a, s) for a, s in pairs])
        yield {
            "new": held(skip_dominance.BETTER, partial[None]),
            "old": [bool(raw.mean() > 0.5)],
            "own": [bool(raw[:2].mean() > 0.5)],
        }


def rates(studies: Iterator[dict[str, list[bool]]], clear: bool) -> dict[str, float]:
    """Percent of the studies in which any verdict holds; clear: of the verdicts that hold."""
    found = list(studies)
    return {
        name: 100 * float(np.mean([np.mean(s[name]) if clear else any(s[name]) for s in found]))
        for name in found[0]
    }


def row(
    study: str, text: str, seeds: str, null: list[dict[str, float]], clear: list[dict[str, float]]
) -> str:
    """A line of the table; where two tables are given: units alike, and independent."""
    cells = [study, text, seeds]
    for found in (null, clear):
        for kind in ("new", "old", "own"):
            names = [name for name in found[0] if name.startswith(kind)] if found else []
            shown = [f"{found[0][name]:.1f}" for name in names]
            if kind != "new" and len(found) == 2:
                shown.append(f"{found[1][kind]:.1f}")
            cells.append((", " if kind == "new" else " / ").join(shown) or "-")
    return "| " + " | ".join(cells) + " |"


def table() -> Iterator[str]:
    """The lines of the table."""
    yield "| study | claim | n, own n | null: now | 0.1.0 | own n | effect: now | 0.1.0 | own n |"
    yield "|" + "---|" * 9
    for claim in CLAIMS:
        ways = (True, False) if claim.pooled else (True,)
        null, clear = (
            [rates(claim_studies(claim, effect, way), effect) for way in ways]
            for effect in (False, True)
        )
        yield row(claim.study, claim.text, f"{claim.seeds}, {claim.old_seeds}", null, clear)
    minimal = space_entry("nasbench201_minimal")
    small = random_walk_null(40, graph=minimal.graph, allowed=minimal.operations())
    for name, walk in (("whole cell", random_walk_null(14)), ("minimal", small)):
        both = [rates(p1_studies(c, walk.share_growing), c) for c in (False, True)]
        yield row("growing", f"P1, {name}", "24, 6", both[:1], both[1:])
    both = [rates(p2_studies(clear), clear) for clear in (False, True)]
    yield row("growing", "P2 (f)", "24, 6", both[:1], both[1:])
    clear = [rates(rank_studies("true"), True)]
    for order, words in (("none", "no order"), ("random", "a random order")):
        null = [rates(rank_studies(order), False)]
        yield row("cost-vs-truth", f"rank as the truth; null: {words} (g)", "8, 2", null,
                  clear)  # fmt: skip
    yield row("skip-dominance", "better supernet, more skip; null: both rise (h)", "8, 2",
              [rates(trend_studies(), False)], [])  # fmt: skip


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
