"""Do local cost and alpha rank operations as their true accuracy does (ours, in no paper)?

none is ranked apart: it costs 0 always, while at first all others cost, so that -cost puts it
first where the truth puts it last; that alone forces a correlation over five operations to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.marginals import cell_marginals, mean_marginals
from nni_wiring.studies.pattern_runs import EdgeTable, epoch_alphas, epoch_archs, epoch_costs
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    FlipRule,
    Verdict,
    holm,
    interval,
    paired_flip,
    rank_products,
    renamed_p,
    spearman,
)
from nni_wiring.studies.statistics.verdict import ALPHA
from nni_wiring.studies.truths import truth_of
from search_spaces.cell_graph import NB201, OPERATIONS, parse_arch

_SCORES = ("-cost", "alpha")
_TRUTHS = ("given the current cell", "mean over all cells")
_HEADS = ("bias_free", "nasbench201")
_NONE = OPERATIONS.index("none")
_REAL = [k for k in range(len(OPERATIONS)) if k != _NONE]

RANKS = FlipRule(
    claim="ranks the four real operations of an edge as the truth (mean over all cells) does, "
    "under the head bias_free",
    null="the rank correlation, mean over edges and epochs, is symmetric about 0 over seeds; and "
    "any of the 24 orders of the operations' names is as likely",
    minimum=0.25,
    unit="(Spearman)",
    spread=0.25,
    family=4,
)


class Ranked(NamedTuple):
    """One run. scores: (epochs, scores, edges, operations). rho: (epochs, scores, truths, edges),
    Spearman over the real operations. none_rank: (epochs, scores, edges), 1 for the best of five.
    """

    scores: np.ndarray
    rho: np.ndarray
    none_rank: np.ndarray


Found = dict[tuple[str, str], list[Ranked]]


def measure(run: StudyRun) -> Findings:
    """Spearman over the real operations of an edge, for every edge, epoch, strategy, head, seed."""
    truth = truth_of(run)
    cube = truth.cube()
    found: Found = {}
    for strategy in run["strategies"]:
        for head in _HEADS:
            for seed in run.seeds:
                label = f"{strategy}-{head}-s{seed}"
                changes = {"strategy": strategy, "head": head, "seed": seed}
                part = run.part(label, partial(_read, run, label, changes))
                one = ranked(np.array(part["scores"], dtype=float), part["archs"], cube)
                found.setdefault((strategy, head), []).append(one)
    return Findings(
        [_table(found, cube, truth.title, run), _none_table(found)],
        _verdicts(found, cube),
        {
            "lines": {
                f"{strategy}, {head}: {score}": _over_epochs(runs, place)
                for (strategy, head), runs in found.items()
                for place, score in enumerate(_SCORES)
            }
        },
        _rows(found, run.seeds),
    )


def _read(run: StudyRun, label: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Of one search: the derived cell of every epoch, and the scores, as `ranked` takes them."""
    folder = run.search(label, **changes)
    costs, alphas = epoch_costs(folder), epoch_alphas(folder)
    scores = [
        np.stack([-_array(cost), _array(alpha)]) for cost, alpha in zip(costs, alphas, strict=True)
    ]
    return {"scores": _short(np.array(scores)), "archs": epoch_archs(folder)}


def _short(values: np.ndarray) -> list[Any]:
    """With five digits, which ranks do not need and a kept study has thousands of."""
    digits = [float(f"{value:.5g}") for value in values.flat]
    short: list[Any] = np.reshape(digits, values.shape).tolist()
    return short


def ranked(scores: np.ndarray, archs: Sequence[str], cube: np.ndarray) -> Ranked:
    """Rank correlations of one run.

    Args:
        scores: (epochs, scores, edges, operations), -cost and alpha: the higher, the better the
            operation should be; NaN where a score is not defined.
        archs: the derived cell of every epoch.
        cube: true accuracies, an axis of operations per edge.
    """
    overall = mean_marginals(cube)
    rho = []
    for now, arch in zip(scores, archs, strict=True):
        truths = (cell_marginals(cube, parse_arch(arch)), overall)
        rho.append(
            [
                [[spearman(row[_REAL], true[_REAL]) for row, true in zip(s, t, strict=True)]
                 for t in truths]
                for s in now
            ]
        )  # fmt: skip
    return Ranked(scores, np.array(rho), none_ranks(scores))


def none_ranks(scores: np.ndarray) -> np.ndarray:
    """The place of none among operations that have a score: 1 for the best, ties in the middle.

    (..., operations) -> (...,); NaN where none has no score.
    """
    none = scores[..., _NONE, None]
    others = scores[..., _REAL]
    above = (others > none).sum(axis=-1) + 0.5 * (others == none).sum(axis=-1)
    return np.where(np.isnan(none[..., 0]), np.nan, 1.0 + above)


def _array(table: EdgeTable) -> np.ndarray:
    values = np.full((len(NB201.edges), len(OPERATIONS)), np.nan)
    for edge, row in table.items():
        for operation, value in row.items():
            if value is not None:
                values[NB201.edge_index(edge), OPERATIONS.index(operation)] = value
    return values


def _mean(values: np.ndarray) -> float:
    """Mean over the entries that are not NaN; NaN for none."""
    return interval(values).mean


def _over_epochs(runs: list[Ranked], score: int) -> list[float]:
    """Mean over seeds and edges, truth: mean over all cells."""
    epochs = range(len(runs[0].rho))
    return [_mean(np.array([ranked.rho[epoch, score, 1] for ranked in runs])) for epoch in epochs]


def _per_seed(runs: list[Ranked], score: int, truth: int) -> list[float]:
    return [_mean(ranked.rho[:, score, truth]) for ranked in runs]


def _real_scores(runs: list[Ranked], score: int) -> np.ndarray:
    """(rows, real operations); a row is an edge of one epoch and seed."""
    return np.concatenate([r.scores[:, score][..., _REAL].reshape(-1, len(_REAL)) for r in runs])


def name_products(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Statistic by which renamings of the operations are judged (see ``renamed_p``).

    Args:
        scores: (rows, real operations); edges in order, again and again.
        truth: (edges, real operations).
    """
    return rank_products(scores, np.tile(truth, (len(scores) // len(truth), 1)))


def _table(found: Found, cube: np.ndarray, title: str, run: StudyRun) -> Table:
    rows: list[list[Any]] = []
    real = mean_marginals(cube)[:, _REAL]
    for (strategy, head), runs in found.items():
        for s, score in enumerate(_SCORES):
            for t, truth in enumerate(_TRUTHS):
                seeds = _per_seed(runs, s, t)
                whole = interval(seeds)
                products = name_products(_real_scores(runs, s), real)
                names = renamed_p(products) if t else None
                rows.append(
                    [strategy, head, score, truth, whole.mean, whole.low, whole.high, whole.values]
                    + [paired_flip(seeds, "greater"), names]
                )
    adjusted = holm([row[-2] for row in rows])
    rows = [[*row[:-1], float(p), row[-1]] for row, p in zip(rows, adjusted, strict=True)]
    return Table(
        f"Spearman between score and true {title} accuracy over the four real "
        f"operations of an edge; mean over edges and {run.config().epochs} epochs; 95 % interval "
        "over seeds; one-sided sign-flip p over seeds, raw and by Holm; p over the 24 orders of "
        "the operations' names",
        [
            *("strategy", "head", "score", "truth", "mean", "low", "high", "seeds"),
            *("p", "p (Holm)", "p (names)"),
        ],
        rows,
    )


def _none_table(found: Found) -> Table:
    rows: list[list[Any]] = []
    for (strategy, head), runs in found.items():
        for s, score in enumerate(_SCORES):
            first = interval([_mean(r.none_rank[0, s]) for r in runs])
            last = interval([_mean(r.none_rank[-1, s]) for r in runs])
            rows.append([strategy, head, score, first.mean, last.mean, last.low, last.high])
    return Table(
        "rank of none among the five operations (1: the best; the truth puts it last), mean over "
        "edges; 95 % interval over seeds",
        ["strategy", "head", "score", "first epoch", "last epoch", "low", "high"],
        rows,
    )


def _verdicts(found: Found, cube: np.ndarray) -> list[Verdict]:
    values, scores = {}, {}
    for s, score in enumerate(_SCORES):
        for (strategy, head), runs in found.items():
            if head == "bias_free":
                values[f"{score}, {strategy}"] = _per_seed(runs, s, 1)
                scores[f"{score}, {strategy}"] = _real_scores(runs, s)
    return judged(values, scores, mean_marginals(cube)[:, _REAL])


def judged(
    values: dict[str, list[float]], scores: dict[str, np.ndarray], truth: np.ndarray
) -> list[Verdict]:
    """Verdicts by RANKS, and by the operations' names.

    A score with an order of its own that owes nothing to the truth agrees or disagrees with it on
    all seeds alike. So `holds` also needs the operations' own names to fit better than the other
    23 orders: for the score by itself, and for all judged scores under one renaming, which bounds
    the chance that any of them is let through by luck.

    Args:
        values: one rank correlation a seed.
        scores: (rows, real operations), as for :func:`name_products`.
        truth: (edges, real operations), mean over all cells.
    """
    products = {label: name_products(rows, truth) for label, rows in scores.items()}
    together = renamed_p(np.sum(list(products.values()), axis=0))
    verdicts = []
    for (label, one), verdict in zip(products.items(), RANKS.judge_all(values), strict=True):
        own = renamed_p(one)
        alike = verdict.verdict == "holds" and not max(own, together) < ALPHA
        verdicts.append(
            verdict._replace(
                claim=f"{label.partition(',')[0]} {verdict.claim}",
                verdict="holds in part" if alike else verdict.verdict,
                evidence=f"{verdict.evidence}; over the operations' names p = {own:.2g}, of all "
                f"judged scores together {together:.2g}",
            )
        )
    return verdicts


def _rows(found: Found, seeds: list[int]) -> list[Row]:
    return [
        {
            "strategy": strategy,
            "head": head,
            "seed": seed,
            "edge": edge,
            "score": score,
            "truth": truth,
            "rho": run.rho[:, s, t, e].tolist(),
            "none_rank": run.none_rank[:, s, e].tolist(),
        }
        for (strategy, head), runs in found.items()
        for seed, run in zip(seeds, runs, strict=True)
        for s, score in enumerate(_SCORES)
        for t, truth in enumerate(_TRUTHS)
        for e, edge in enumerate(NB201.edge_names)
    ]


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Mean rank correlation over epochs."""
    title = "Rank correlation with the truth, mean over edges and seeds"
    return {"cost_vs_truth": line_chart(numbers["lines"], title, "Spearman")}


STUDY = Study(
    name="cost-vs-truth",
    title="local cost and alpha against the true accuracy of operations",
    source="this project",
    own={"seeds": 8, "strategies": ["darts", "dsnas"]},
    small={
        "space": "nasbench201",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 8,
        "max_steps": 15,
        "alpha_lr": 0.01,
    },
    paper={"space": "nasbench201", "seeds": 8},
    measure=measure,
    plot=plot,
    rules=(RANKS,),
    spaces=Spaces(benchmark="nasbench201"),
    sized=True,
)
