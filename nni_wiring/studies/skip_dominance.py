"""Proposition 1: the better the supernet, the larger skip's share of an edge (S2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict, graded
from nni_wiring.studies.probes import EpochProbe, untouched
from nni_wiring.studies.statistics import spearman
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.evaluation import evaluation_mode, fixed_draw

_SKIP, _CONV = "skip_connect", "nor_conv_3x3"


def measure(run: StudyRun) -> Findings:
    """A search a seed; at epoch ends alpha and the two variances of every edge."""
    found = []
    for seed in run.seeds:
        label = f"search-s{seed}"
        probe = EpochProbe("variances", _variances)
        folder = run.search(label, [probe], seed=seed)
        accuracies = [record.accuracy["search"] for record in folder.records()]
        values = probe.values(folder)
        found.append([{**v, "accuracy": a} for v, a in zip(values, accuracies, strict=True)])
    names = ("alpha_gap", "share", "var_skip", "var_conv", "accuracy")
    means = {name: [_mean(found, epoch, name) for epoch in range(len(found[0]))] for name in names}
    return Findings(
        [_table(means, len(found))],
        [_dominance(means), _sign(found), _better_supernet(found)],
        {"means": means},
    )


def _mean(found: list[list[dict[str, Any]]], epoch: int, name: str) -> float:
    return float(np.mean([np.mean(records[epoch][name]) for records in found]))


def _variances(module: SearchModule, loaders: Any) -> dict[str, Any]:
    """Per edge, mean over cells, on one batch of the search half: var(x - m*) for skip and
    var(conv(x) - m*) for the convolution.

    m*, which the proposition leaves open, is the cell's own output here: the best estimate that the
    cell has of the feature map that all its edges refine (ours).
    """
    [group] = module.strategy.groups
    if not {_SKIP, _CONV} <= set(group.operations):
        raise ConfigError(f"study skip-dominance: the space must have {_SKIP} and {_CONV}")
    skip, conv = group.operations.index(_SKIP), group.operations.index(_CONV)
    images, _ = next(iter(loaders[-1]))
    p = module.strategy.relaxation.probabilities(group).detach()
    with untouched(module), evaluation_mode(module.model), _distances(module, conv) as rows:
        group.draw = fixed_draw(group, p)
        module.model(images)
    variances = np.mean(np.array(rows), axis=0)
    alpha = group.current_alpha()
    return {
        "alpha_gap": (alpha[:, skip] - alpha[:, conv]).tolist(),
        "share": (p[:, skip] / (p[:, skip] + p[:, conv])).tolist(),
        "var_skip": variances[:, 0].tolist(),
        "var_conv": variances[:, 1].tolist(),
    }


@contextmanager
def _distances(module: SearchModule, conv: int) -> Iterator[list[list[tuple[float, float]]]]:
    """While open, every cell that runs adds a row: for each edge (var(x - m*), var(conv(x) - m*)).

    The convolution's module tells both: its input is x.
    """
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    rows: list[list[tuple[float, float]]] = []

    def note(edge: int) -> Any:
        def hook(op: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen[edge] = inputs[0], output

        return hook

    def finish(cell: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        pairs = [seen[edge] for edge in sorted(seen)]
        rows.append([(float((x - output).var()), float((o - output).var())) for x, o in pairs])
        seen.clear()

    cells = [m for m in module.model.modules() if isinstance(m, SupernetCell)]
    handles = [cell.register_forward_hook(finish) for cell in cells]
    for cell in cells:
        for edge in range(len(cell.graph.edges)):
            handles.append(cell.operation(edge, conv).register_forward_hook(note(edge)))
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def _table(means: dict[str, list[float]], seeds: int) -> Table:
    rows = [
        [epoch + 1, *(means[name][epoch] for name in means)]
        for epoch in range(len(means["alpha_gap"]))
    ]
    return Table(
        f"mean over edges and {seeds} seed(s)",
        [
            "epoch",
            "alpha_skip - alpha_conv",
            "skip's share",
            "var(x - m*)",
            "var(conv(x) - m*)",
            "supernet accuracy % (search half)",
        ],
        rows,
    )


def _dominance(means: dict[str, list[float]]) -> Verdict:
    gap = means["alpha_gap"]
    verdict: Holds = "does not hold"
    if gap[-1] > 0:
        verdict = "holds" if gap[-1] > gap[0] else "holds in part"
    return Verdict(
        "alpha of skip rises above alpha of the convolution during the search",
        verdict,
        f"mean alpha_skip - alpha_conv {gap[0]:.4f} after one epoch, {gap[-1]:.4f} at the end",
    )


def _sign(found: list[list[dict[str, Any]]]) -> Verdict:
    pairs = [
        (gap, conv - skip)
        for records in found
        for gap, skip, conv in zip(
            *(records[-1][name] for name in ("alpha_gap", "var_skip", "var_conv")), strict=True
        )
    ]
    agree = sum((gap > 0) == (expected > 0) for gap, expected in pairs)
    return Verdict(
        "Proposition 1: the operation whose rival is further from m* has the larger alpha",
        graded(agree / len(pairs)),
        f"alpha_skip > alpha_conv goes with var(conv(x) - m*) > var(x - m*) on {agree} of "
        f"{len(pairs)} edges at the end",
    )


def _better_supernet(found: list[list[dict[str, Any]]]) -> Verdict:
    rho = [
        spearman([r["accuracy"] for r in records], [np.mean(r["share"]) for r in records])
        for records in found
    ]
    mean = float(np.mean(rho))
    return Verdict(
        "the better the supernet, the larger skip's share",
        "holds" if mean > 0.5 else "holds in part" if mean > 0 else "does not hold",
        f"Spearman over epochs between supernet accuracy and skip's share: {mean:.2f} "
        f"(mean of {len(found)} seed(s))",
    )


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Variances and alphas over epochs."""
    means = numbers["means"]
    variances = {"var(x - m*)": means["var_skip"], "var(conv(x) - m*)": means["var_conv"]}
    gap = {"alpha_skip - alpha_conv": means["alpha_gap"]}
    return {
        "skip_variances": line_chart(variances, "Distance of each operation from m*", "variance"),
        "skip_alphas": line_chart(gap, "Skip against convolution, mean over edges", "alpha"),
    }


STUDY = Study(
    name="skip-dominance",
    title="Proposition 1: skip against convolution",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={"seeds": 2},
    reduced={
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
        "seeds": 4,
    },
    measure=measure,
    draw=draw,
)
