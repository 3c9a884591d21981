"""Three orders of an edge's operations: alpha, perturbation, discretisation (S2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.selection.decided_cells import masked
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Study, StudyRun, Table
from nni_wiring.studies.marginals import mean_marginals
from nni_wiring.studies.probes import edge_labels
from nni_wiring.studies.statistics import (
    FlipRule,
    Verdict,
    holm,
    interval,
    paired_flip,
    spearman,
)
from nni_wiring.studies.truths import in_table
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.evaluation import ZByGroup
from nni_wiring.supernet.restoring import unmoved
from nni_wiring.supernet.variants import supernet_accuracies
from search_spaces.cell_graph import NB201, OPERATIONS

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
        found.append(run.part(f"strength-s{seed}", _measuring(run, seed)))
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
        values: (edges, operations), percent; NaN where an edge does not allow one.
        accuracy: about that of the compared ones, percent.
        images: that they were measured on.
    """
    best = np.sort(np.where(np.isnan(values), -np.inf, values), axis=1)[:, -2:]
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


def _measuring(run: StudyRun, seed: int) -> Callable[[], dict[str, Any]]:
    return lambda: strengths(reopen(run.search(f"search-s{seed}", seed=seed)), run.options)


class Entry(NamedTuple):
    """One operation of one edge. row: of the edge among those of all groups."""

    row: int
    group: EdgeGroup
    edge: int
    operation: int

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.group.operations[self.operation]


def strengths(found: OpenSearch, options: Mapping[str, Any]) -> dict[str, Any]:
    """alpha: p(alpha); perturbation: accuracy lost without the operation; discretisation: accuracy
    with the edge set to it, after tuning; percent, under the Z that the method is evaluated with.
    All (edges, operations), the edges of all kinds of cells, NaN where an edge does not allow it.
    """
    groups = found.strategy.groups
    names = list(dict.fromkeys(name for group in groups for name in group.operations))
    rows = [(group, edge) for group in groups for edge in range(len(group.edges))]
    entries = [
        Entry(row, group, edge, k)
        for row, (group, edge) in enumerate(rows)
        for k in group.allowed[edge]
    ]
    p = {group.name: found.strategy.relaxation.probabilities(group).detach() for group in groups}
    batches = list(islice(iter(found.loaders.evaluation), options["batches"]))
    counts, images = supernet_accuracies(found.module.model, batches, _masks(found, entries))
    values = {name: np.full((len(rows), len(names)), np.nan) for name in _ORDERS}
    for entry, count in zip(entries, counts[1:], strict=True):
        place = entry.row, names.index(entry.name)
        values["alpha"][place] = float(p[entry.group.name][entry.edge, entry.operation])
        values["perturbation"][place] = (counts[0] - count) * 100 / images
        values["discretisation"][place] = _discretised(found, entry, batches, options)
    edges = edge_labels(groups)
    if found.table is not None and edges == list(NB201.edge_names) and {*names} == {*OPERATIONS}:
        truth = mean_marginals(in_table(found.table, found.dataset).cube())
        values["truth"] = truth[:, [OPERATIONS.index(name) for name in names]]
    return {
        "edges": edges,
        "operations": names,
        "accuracy": 100.0 * counts[0] / images,
        "images": images,
        **{name: table.tolist() for name, table in values.items()},
    }


def _masks(found: OpenSearch, entries: Sequence[Entry]) -> list[ZByGroup]:
    """Z of the supernet as its method evaluates it, then with each entry masked, the others as they
    are.
    """
    whole = {group.name: found.module.evaluated(group) for group in found.strategy.groups}
    return [
        whole,
        *(
            {**whole, group.name: masked(whole[group.name], edge, k)}
            for _, group, edge, k in entries
        ),
    ]


def _discretised(
    found: OpenSearch, entry: Entry, batches: list[Any], options: Mapping[str, Any]
) -> float:
    """Accuracy after tuning the supernet with one edge one-hot; the supernet is put back."""
    module, group = found.module, entry.group
    weights = module.weight_parameters()
    theta = torch.optim.SGD(weights, lr=options["tune_lr"], momentum=0.9, weight_decay=3e-4)
    before, module.tuning = group.decisions.state(), {False: theta}
    group.decisions.chosen[entry.edge] = entry.operation
    module.train()
    with unmoved([*module.parameters(), *module.buffers()]):
        try:
            found.loaders.train.set_epoch(0)
            for step, batch in enumerate(islice(iter(found.loaders.train), options["tune_steps"])):
                module.search_step({"train": batch}, step, alpha_moves=False)
            z = {each.name: module.evaluated(each) for each in found.strategy.groups}
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
        if part["alpha"][e][k] is not None
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
    small={
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
    sized=True,
    reference={"batches": 100, "tune_steps": 400},
)
