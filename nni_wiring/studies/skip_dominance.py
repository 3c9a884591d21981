"""Proposition 1: the better the supernet, the larger skip's share of an edge (S2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.pattern_runs import epoch_accuracies
from nni_wiring.studies.probes import EpochProbe, untouched
from nni_wiring.studies.skip_distances import exact_share, watched_distances
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    FlipRule,
    Verdict,
    interval,
    partial_spearman,
    spearman,
)
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.evaluation import evaluation_mode, fixed_draw

_SKIP, _CONV = "skip_connect", "nor_conv_3x3"

DOMINATES = FlipRule(
    claim="alpha of skip ends above alpha of the convolution",
    null="the difference, mean over edges, is symmetric about 0 over seeds",
    minimum=0.1,
    unit="(alpha)",
    spread=0.12,
)
FOLLOWS = FlipRule(
    claim="Proposition 1: over the edges the convolution's share of alpha goes with that of the "
    "exact minimiser of var(mixture - m*)",
    null="the rank correlation over edges is symmetric about 0 over seeds",
    minimum=0.2,
    unit="(Spearman)",
    spread=0.25,
)
BETTER = FlipRule(
    claim="the better the supernet, the larger skip's share, the epoch taken out",
    null="the partial rank correlation over epochs is symmetric about 0 over seeds",
    minimum=0.2,
    unit="(partial Spearman)",
    spread=0.25,
)

#: What a probe keeps of every edge.
_NUMBERS = ("alpha_gap", "share", "var_skip", "var_conv", "covariance")
#: One list of epochs a seed.
Found = list[list[dict[str, Any]]]


def measure(run: StudyRun) -> Findings:
    """A search a seed; at epoch ends alpha and the distances of every edge."""
    labels = {seed: f"search-s{seed}" for seed in run.seeds}
    found: Found = [
        run.part(label, partial(_searched, run, label, seed)) for seed, label in labels.items()
    ]
    names = (*_NUMBERS, "accuracy")
    means = {name: [_mean(found, epoch, name) for epoch in range(len(found[0]))] for name in names}
    return Findings(
        [_table(means, len(found)), _edges(found, run.seeds)],
        _verdicts(found),
        {"means": means},
        [
            row
            for seed, records in zip(run.seeds, found, strict=True)
            for row in _rows(seed, records)
        ],
    )


def _searched(run: StudyRun, label: str, seed: int) -> list[dict[str, Any]]:
    probe = EpochProbe("distances", measured)
    folder = run.search(label, [probe], seed=seed)
    accuracies, values = epoch_accuracies(folder), probe.values(folder)
    return [{**v, "accuracy": a} for v, a in zip(values, accuracies, strict=True)]


def _mean(found: Found, epoch: int, name: str) -> float:
    return float(np.mean([np.mean(records[epoch][name]) for records in found]))


def _rows(seed: int, records: list[dict[str, Any]]) -> list[Row]:
    return [
        {"seed": seed, "epoch": record["epoch"], "accuracy": record["accuracy"], "edge": edge}
        | {name: record[name][place] for name in _NUMBERS}
        for record in records
        for place, edge in enumerate(record["edges"])
    ]


def measured(module: SearchModule, loaders: Sequence[Any]) -> dict[str, Any]:
    """Per edge, mean over cells, on one batch of the search half.

    m*, which the proposition leaves open, is the cell's own output here: the best estimate that the
    cell has of the feature map that all its edges refine (ours). It is that of the supernet as its
    method evaluates it.
    """
    [group] = module.strategy.groups
    skip, conv = group.operations.index(_SKIP), group.operations.index(_CONV)
    images, _ = next(iter(loaders[-1]))
    p = module.strategy.relaxation.probabilities(group).detach()
    with untouched(module), evaluation_mode(module.model), watched_distances(module, conv) as rows:
        group.draw = _watched_draw(module, group, conv)
        module.model(images)
    found = np.mean(np.array(rows), axis=0)  # (edges, 3)
    alpha = group.current_alpha()
    return {
        "edges": list(group.edges),
        "alpha_gap": (alpha[:, skip] - alpha[:, conv]).tolist(),
        "share": (p[:, skip] / (p[:, skip] + p[:, conv])).tolist(),
        "var_skip": found[:, 0].tolist(),
        "var_conv": found[:, 1].tolist(),
        "covariance": found[:, 2].tolist(),
    }


def _watched_draw(module: SearchModule, group: EdgeGroup, conv: int) -> Draw:
    """The Z that the method evaluates its supernet with; the convolution runs on every edge, also
    where it weighs nothing.
    """
    draw = fixed_draw(group, module.evaluated(group))
    active = tuple(tuple(sorted({*row, conv})) for row in draw.active)
    return draw._replace(active=active)


def _table(means: dict[str, list[float]], seeds: int) -> Table:
    rows = [
        [epoch + 1, *(means[name][epoch] for name in means)]
        for epoch in range(len(means["alpha_gap"]))
    ]
    return Table(
        f"mean over edges and {seeds} seed(s); x, conv(x) and m* standardised",
        [
            "epoch",
            "alpha_skip - alpha_conv",
            "skip's share",
            "var(x - m*)",
            "var(conv(x) - m*)",
            "covariance",
            "supernet accuracy % (search half)",
        ],
        rows,
    )


def _shares(record: dict[str, Any]) -> np.ndarray:
    """(3, edges): the convolution's share of alpha, of the exact minimiser, of its case K = 0."""
    columns = zip(record["var_skip"], record["var_conv"], record["covariance"], strict=True)
    both = [(exact_share(x, o, k), exact_share(x, o, 0.0)) for x, o, k in columns]
    return np.array([1 - np.array(record["share"]), *np.array(both).T])


def _edges(found: Found, seeds: list[int]) -> Table:
    """alpha's share against the minimiser's over the edges, a row per seed and one over all."""
    last = [_shares(records[-1]) for records in found]
    rows: list[list[Any]] = []
    for name, shares in [*zip(seeds, last, strict=True), ("all", np.concatenate(last, axis=1))]:
        alpha, exact, simple = shares
        rows.append(
            [name, *(float(np.nanmean(row)) for row in shares)]
            + [_slope(exact, alpha), spearman(exact, alpha)]
            + [_slope(simple, alpha), spearman(simple, alpha)]
        )
    return Table(
        "last epoch, over the edges of a seed: the convolution's share of alpha against w, the "
        "share that minimises var(mixture - m*), and against w at K = 0, the proposition's case",
        [
            *("seed", "share of alpha", "w", "w at K = 0"),
            *("slope on w", "Spearman", "slope on w at K = 0", "Spearman, K = 0"),
        ],
        rows,
    )


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    both = ~np.isnan(x) & ~np.isnan(y)
    if both.sum() < 2 or np.ptp(x[both]) == 0:
        return float("nan")
    return float(np.polyfit(x[both], y[both], 1)[0])


def _verdicts(found: Found) -> list[Verdict]:
    gaps = [float(np.mean(records[-1]["alpha_gap"])) for records in found]
    start = interval([float(np.mean(records[0]["alpha_gap"])) for records in found])
    last = [_shares(records[-1]) for records in found]
    follows = [spearman(shares[1], shares[0]) for shares in last]
    simple = interval([spearman(shares[2], shares[0]) for shares in last])
    partial = [
        partial_spearman(
            [record["accuracy"] for record in records],
            [float(np.mean(record["share"])) for record in records],
            [record["epoch"] for record in records],
        )
        for records in found
    ]
    return [
        DOMINATES.judge(gaps, f"{start.mean:.3g} after one epoch"),
        FOLLOWS.judge(follows, f"with K = 0, as the proposition has it, {simple.mean:.2f}"),
        BETTER.judge(partial),
    ]


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Variances and alphas over epochs."""
    means = numbers["means"]
    variances = {
        "var(x - m*)": means["var_skip"],
        "var(conv(x) - m*)": means["var_conv"],
        "covariance": means["covariance"],
    }
    gap = {"alpha_skip - alpha_conv": means["alpha_gap"]}
    return {
        "skip_variances": line_chart(
            variances, "Distance of each operation from m*, standardised", "variance"
        ),
        "skip_alphas": line_chart(gap, "Skip against convolution, mean over edges", "alpha"),
    }


STUDY = Study(
    name="skip-dominance",
    title="Proposition 1: skip against convolution",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={"seeds": 8},
    small={
        "strategy": "darts",
        "space": "nasbench201_s2",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 12,
        "max_steps": 20,
        "alpha_lr": 0.01,
    },
    paper={
        "strategy": "darts",
        "space": "nasbench201_s2",
        "epochs": 100,
        "weight_decay": 3e-4,
        "track_stats": True,
        "seeds": 8,
    },
    measure=measure,
    plot=plot,
    rules=(DOMINATES, FOLLOWS, BETTER),
    spaces=Spaces(one_kind=True, every_edge=(_SKIP, _CONV)),
    sized=True,
)
