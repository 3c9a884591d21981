"""Three orders of an edge's operations: alpha, perturbation, discretisation (S2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict
from nni_wiring.studies.marginals import accuracy_cube, mean_marginals
from nni_wiring.studies.statistics import interval, spearman
from nni_wiring.supernet.decisions import decided_weights
from nni_wiring.supernet.restoring import unmoved
from nni_wiring.supernet.variants import supernet_accuracies

_ORDERS = ("alpha", "perturbation", "discretisation", "truth")


def measure(run: StudyRun) -> Findings:
    """On the supernet of one search a seed: every operation of every edge, in three ways."""
    found = []
    for seed in run.seeds:
        folder = run.search(f"search-s{seed}", seed=seed)
        found.append(run.part(f"strength-s{seed}", _measuring(folder, run)))
    orders = {name: np.array([part[name] for part in found], dtype=float) for name in _ORDERS}
    pairs = [(a, b) for i, a in enumerate(_ORDERS) for b in _ORDERS[i + 1 :]]
    correlations = {
        (a, b): [
            spearman(orders[a][s, e], orders[b][s, e])
            for s in range(len(found))
            for e in range(orders[a].shape[1])
        ]
        for a, b in pairs
    }
    intervals = {pair: interval(values) for pair, values in correlations.items()}
    return Findings(
        [
            Table(
                f"Spearman over the operations of an edge, mean over {orders['alpha'].shape[1]} "
                f"edges and {len(found)} seed(s); 95 % interval",
                ["order", "against", "mean", "low", "high"],
                [[a, b, i.mean, i.low, i.high] for (a, b), i in intervals.items()],
            ),
            _operations(found[0]),
        ],
        [_verdict(intervals)],
        {"bars": {f"{a} against {b}": i.mean for (a, b), i in intervals.items()}},
    )


def _measuring(folder: RunFolder, run: StudyRun) -> Callable[[], dict[str, Any]]:
    return lambda: _strengths(reopen(folder), run)


def _strengths(found: OpenSearch, run: StudyRun) -> dict[str, Any]:
    """alpha: p(alpha); perturbation: accuracy lost without the operation; discretisation: accuracy
    with the edge set to it, after tuning; percent. All (edges, operations) in the group's order.
    """
    [group] = found.strategy.groups
    p = found.strategy.relaxation.probabilities(group).detach()
    shape = tuple(p.shape)
    masked = []
    for edge in range(shape[0]):
        for k in range(shape[1]):
            z = p.clone()
            z[edge, k] = 0
            masked.append({group.name: z})
    batches = list(islice(iter(found.loaders.evaluation), run["batches"]))
    counts, images = supernet_accuracies(found.module.model, batches, [{group.name: p}, *masked])
    lost = (counts[0] - np.array(counts[1:])).reshape(shape) * 100 / images
    tuned = np.array(
        [
            [_discretised(found, edge, k, batches, run) for k in range(shape[1])]
            for edge in range(shape[0])
        ]
    )
    truth = np.full(shape, np.nan)
    if found.table is not None and shape == (6, 5):
        truth = mean_marginals(accuracy_cube(found.table, "cifar10", "valid"))
    return {
        "edges": list(group.edges),
        "operations": list(group.operations),
        "alpha": p.tolist(),
        "perturbation": lost.tolist(),
        "discretisation": tuned.tolist(),
        "truth": truth.tolist(),
    }


def _discretised(found: OpenSearch, edge: int, k: int, batches: list[Any], run: StudyRun) -> float:
    """Accuracy after tuning the supernet with one edge one-hot; the supernet is put back."""
    module = found.module
    [group] = found.strategy.groups
    weights = module.weight_parameters()
    theta = torch.optim.SGD(weights, lr=run["tune_lr"], momentum=0.9, weight_decay=3e-4)
    group.decisions.chosen, module.tuning = {edge: k}, {False: theta}
    module.train()
    with unmoved([*module.parameters(), *module.buffers()]):
        try:
            found.loaders.train.set_epoch(0)
            for step, batch in enumerate(islice(iter(found.loaders.train), run["tune_steps"])):
                module.search_step({"train": batch}, step, alpha_moves=False)
            p = found.strategy.relaxation.probabilities(group).detach()
            z = {group.name: decided_weights(p, {edge: k})}
            [count], images = supernet_accuracies(module.model, batches, [z])
        finally:
            group.decisions.clear()
            module.tuning = {}
    return 100.0 * count / images


def _operations(part: dict[str, Any]) -> Table:
    rows = [
        [edge, operation, *(part[name][e][k] for name in _ORDERS)]
        for e, edge in enumerate(part["edges"])
        for k, operation in enumerate(part["operations"])
    ]
    return Table(
        "first seed: p(alpha); accuracy lost by masking, percent points; accuracy after "
        "discretising and tuning, percent; mean true accuracy, percent",
        ["edge", "operation", *_ORDERS],
        rows,
    )


def _verdict(intervals: dict[tuple[str, str], Any]) -> Verdict:
    alpha = intervals["alpha", "discretisation"].mean
    perturbation = intervals["perturbation", "discretisation"]
    verdict: Holds = "cannot be said"  # where the interval holds alpha's own correlation
    if perturbation.low > alpha:
        verdict = "holds" if perturbation.low > 0 else "holds in part"
    elif perturbation.high < alpha:
        verdict = "does not hold"
    return Verdict(
        "alpha does not tell an operation's strength (discretisation accuracy), perturbation does",
        verdict,
        f"Spearman with discretisation accuracy: alpha {alpha:.2f}, perturbation "
        f"{perturbation.mean:.2f} ({perturbation.low:.2f} to {perturbation.high:.2f})",
    )


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The rank correlations."""
    return {"strength": label_bars(numbers["bars"], "Orders of operations", "Spearman, mean")}


STUDY = Study(
    name="strength",
    title="operation strength: alpha, perturbation and discretisation accuracy",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={"seeds": 1, "batches": 24, "tune_steps": 8, "tune_lr": 0.0025},
    reduced={
        "strategy": "darts",
        "space": "nasbench201",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 10,
        "max_steps": 20,
        "alpha_lr": 0.01,
    },
    paper={
        "strategy": "darts",
        "epochs": 100,
        "weight_decay": 3e-4,
        "track_stats": True,
        "seeds": 3,
        "batches": 400,
        "tune_steps": 2000,
    },
    measure=measure,
    draw=draw,
)
