"""Three orders of an edge's operations: alpha, perturbation, discretisation (S2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.selection.decided_cells import masked
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Study, StudyRun, Table
from nni_wiring.studies.marginals import accuracy_cube, mean_marginals
from nni_wiring.studies.statistics import (
    FlipRule,
    Verdict,
    holm,
    interval,
    paired_flip,
    spearman,
)
from nni_wiring.supernet.evaluation import ZByGroup
from nni_wiring.supernet.restoring import unmoved
from nni_wiring.supernet.variants import supernet_accuracies

_ORDERS = ("alpha", "perturbation", "discretisation", "truth")

TELLS = FlipRule(
    claim="perturbation tells an operation's strength (its discretisation accuracy)",
    null="the rank correlation, mean over edges, is symmetric about 0 over seeds",
    minimum=0.2,
    unit="(Spearman)",
    spread=0.2,
)
BETTER = FlipRule(
    claim="perturbation tells it better than alpha does",
    null="both tell it alike: the difference of rank correlations is symmetric about 0",
    minimum=0.2,
    unit="(difference of Spearman)",
    spread=0.25,
)


def measure(run: StudyRun) -> Findings:
    """On the supernet of one search per seed: every operation of every edge, in three ways."""
    found = []
    for seed in run.seeds:
        folder = run.search(f"search-s{seed}", seed=seed)
        found.append(run.part(f"strength-s{seed}", _measuring(folder, run)))
    orders = {name: np.array([part[name] for part in found], dtype=float) for name in _ORDERS}
    pairs = [(a, b) for i, a in enumerate(_ORDERS) for b in _ORDERS[i + 1 :]]
    edges = range(orders["alpha"].shape[1])
    rho = {
        (a, b): np.array(
            [[spearman(orders[a][s, e], orders[b][s, e]) for e in edges] for s in range(len(found))]
        )
        for a, b in pairs
    }
    seeds = {pair: [interval(row).mean for row in values] for pair, values in rho.items()}
    return Findings(
        [_table(seeds), _ties(found, run.seeds), _operations(found[0])],
        _verdicts(seeds),
        {"bars": {f"{a} against {b}": interval(row).mean for (a, b), row in seeds.items()}},
        [
            {"seed": seed, "edge": edge, "order": a, "against": b, "rho": float(rho[a, b][s, e])}
            for s, seed in enumerate(run.seeds)
            for e, edge in enumerate(found[0]["edges"])
            for a, b in pairs
        ],
    )


def _table(seeds: dict[tuple[str, str], list[float]]) -> Table:
    raw = [paired_flip(row) for row in seeds.values()]
    rows = [
        [*pair, *interval(row), p, float(adjusted)]
        for (pair, row), p, adjusted in zip(seeds.items(), raw, holm(raw), strict=True)
    ]
    return Table(
        "Spearman over the operations of an edge, mean over edges; 95 % interval over seeds; "
        "two-sided sign-flip p, raw and by Holm",
        ["order", "against", "mean", "low", "high", "seeds", "p", "p (Holm)"],
        rows,
    )


def undecided(values: np.ndarray, accuracy: float, images: int) -> int:
    """Edges whose best two operations lie closer than two standard errors of their difference.

    Accuracies are shares of the same images, so that the error of a difference is at most
    sqrt(2 a (1 - a) / images); a tie is a tie.

    Args:
        values: (edges, operations), percent.
        accuracy: about that of the compared ones, percent.
        images: that they were measured on.
    """
    best = np.sort(values, axis=1)[:, -2:]
    share = (accuracy * images / 100 + 1) / (images + 2)  # never 0 or 1
    error = 100 * np.sqrt(2 * share * (1 - share) / images)
    return int((best[:, 1] - best[:, 0] < 2 * error).sum())


def _ties(found: list[dict[str, Any]], seeds: list[int]) -> Table:
    rows = [
        [seed, part["accuracy"], part["images"], len(part["edges"])]
        + [
            undecided(np.array(part[name], dtype=float), part["accuracy"], part["images"])
            for name in ("perturbation", "discretisation")
        ]
        for seed, part in zip(seeds, found, strict=True)
    ]
    return Table(
        "edges whose best two operations are told apart by less than two standard errors",
        ["seed", "supernet accuracy %", "images", "edges", "perturbation", "discretisation"],
        rows,
    )


def _measuring(folder: RunFolder, run: StudyRun) -> Callable[[], dict[str, Any]]:
    return lambda: strengths(reopen(folder), run.options)


def strengths(found: OpenSearch, options: Mapping[str, Any]) -> dict[str, Any]:
    """alpha: p(alpha); perturbation: accuracy lost without the operation; discretisation: accuracy
    with the edge set to it, after tuning; percent, under the Z that the method is evaluated with.
    All (edges, operations) in the group's order.
    """
    [group] = found.strategy.groups
    p = found.strategy.relaxation.probabilities(group).detach()
    shape = tuple(p.shape)
    batches = list(islice(iter(found.loaders.evaluation), options["batches"]))
    variants = _masks(found)
    counts, images = supernet_accuracies(found.module.model, batches, variants)
    lost = (counts[0] - np.array(counts[1:])).reshape(shape) * 100 / images
    tuned = np.array(
        [
            [_discretised(found, edge, k, batches, options) for k in range(shape[1])]
            for edge in range(shape[0])
        ]
    )
    truth = np.full(shape, np.nan)
    if found.table is not None and shape == (6, 5):
        truth = mean_marginals(accuracy_cube(found.table, "cifar10", "valid"))
    return {
        "edges": list(group.edges),
        "operations": list(group.operations),
        "accuracy": 100.0 * counts[0] / images,
        "images": images,
        "alpha": p.tolist(),
        "perturbation": lost.tolist(),
        "discretisation": tuned.tolist(),
        "truth": truth.tolist(),
    }


def _masks(found: OpenSearch) -> list[ZByGroup]:
    """Z of the supernet as its method evaluates it, then with each operation of each edge of the
    one group masked, the others as they are.
    """
    [group] = found.strategy.groups
    whole = found.module.evaluated(group)
    entries = [(edge, k) for edge in range(len(whole)) for k in range(whole.shape[1])]
    return [{group.name: z} for z in (whole, *(masked(whole, *entry) for entry in entries))]


def _discretised(
    found: OpenSearch, edge: int, k: int, batches: list[Any], options: Mapping[str, Any]
) -> float:
    """Accuracy after tuning the supernet with one edge one-hot; the supernet is put back."""
    module = found.module
    [group] = found.strategy.groups
    weights = module.weight_parameters()
    theta = torch.optim.SGD(weights, lr=options["tune_lr"], momentum=0.9, weight_decay=3e-4)
    before, module.tuning = group.decisions.state(), {False: theta}
    group.decisions.chosen[edge] = k
    module.train()
    with unmoved([*module.parameters(), *module.buffers()]):
        try:
            found.loaders.train.set_epoch(0)
            for step, batch in enumerate(islice(iter(found.loaders.train), options["tune_steps"])):
                module.search_step({"train": batch}, step, alpha_moves=False)
            z = {group.name: module.evaluated(group)}
            [count], images = supernet_accuracies(module.model, batches, [z])
        finally:
            group.decisions.load(before)
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


def _verdicts(seeds: dict[tuple[str, str], list[float]]) -> list[Verdict]:
    perturbation = np.array(seeds["perturbation", "discretisation"])
    return [
        TELLS.judge(perturbation),
        BETTER.judge(perturbation - np.array(seeds["alpha", "discretisation"])),
    ]


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The rank correlations."""
    return {"strength": label_bars(numbers["bars"], "Orders of operations", "Spearman, mean")}


STUDY = Study(
    name="strength",
    title="operation strength: alpha, perturbation and discretisation accuracy",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={"seeds": 8, "batches": 24, "tune_steps": 8, "tune_lr": 0.0025},
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
        "seeds": 8,
        "batches": 400,
        "tune_steps": 2000,
    },
    measure=measure,
    plot=plot,
    rules=(TELLS, BETTER),
)
