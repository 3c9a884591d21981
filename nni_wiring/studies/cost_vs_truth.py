"""Do local cost and alpha rank operations as their true accuracy does (ours, in no paper)?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.assemble import truth_for
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict
from nni_wiring.studies.marginals import accuracy_cube, cell_marginals, mean_marginals
from nni_wiring.studies.statistics import interval, spearman
from search_spaces.cell_graph import NB201, OPERATIONS, parse_arch

_SCORES = ("-cost", "alpha")
_TRUTHS = ("given the current cell", "mean over all cells")


def measure(run: StudyRun) -> Findings:
    """Spearman over the operations of an edge, for every edge, epoch, strategy and seed."""
    table = truth_for(run.config())
    if table is None:
        raise ConfigError("study cost-vs-truth: the space must be one of NAS-Bench-201")
    cube = accuracy_cube(table, "cifar10", "valid")
    found = {}
    for strategy in run["strategies"]:
        per_seed = []
        for seed in run.seeds:
            folder = run.search(f"{strategy}-s{seed}", strategy=strategy, seed=seed)
            per_seed.append(rank_correlations(folder, cube))
        found[strategy] = np.stack(per_seed)  # seeds, epochs, scores, truths, edges
    return Findings(
        [_table(found, run)],
        [_verdict(found, place, score) for place, score in enumerate(_SCORES)],
        {
            "lines": {
                f"{strategy}: {score}, {_TRUTHS[1]}": _over_epochs(values[:, :, place, 1])
                for strategy, values in found.items()
                for place, score in enumerate(_SCORES)
            }
        },
    )


def rank_correlations(folder: RunFolder, cube: np.ndarray) -> np.ndarray:
    """(epochs, scores, truths, edges): Spearman over the operations of an edge; the higher the
    score (-cost, alpha), the better the operation should be. NaN where it is not defined.
    """
    overall = mean_marginals(cube)
    rows = []
    for record in folder.epochs():
        truths = (cell_marginals(cube, parse_arch(record["arch"])), overall)
        costs = record["cost"].get("alpha") or record["cost"]["weights"]
        scores = (-_array(costs["mean"]), _array(record["alpha"]))
        rows.append(
            [
                [
                    [spearman(score[e], truth[e]) for e in range(len(NB201.edges))]
                    for truth in truths
                ]
                for score in scores
            ]
        )
    return np.array(rows)


def _array(table: Mapping[str, Mapping[str, float | None]]) -> np.ndarray:
    values = np.full((len(NB201.edges), len(OPERATIONS)), np.nan)
    for edge, row in table.items():
        for operation, value in row.items():
            if value is not None:
                values[NB201.edge_index(edge), OPERATIONS.index(operation)] = value
    return values


def _over_epochs(values: np.ndarray) -> list[float]:
    return np.nanmean(values, axis=(0, 2)).tolist()


def _table(found: dict[str, np.ndarray], run: StudyRun) -> Table:
    rows: list[list[Any]] = []
    for strategy, values in found.items():
        for s, score in enumerate(_SCORES):
            for t, truth in enumerate(_TRUTHS):
                edges = np.nanmean(values[:, :, s, t], axis=(0, 1))
                whole = interval(np.nanmean(values[:, :, s, t], axis=1))
                rows.append([strategy, score, truth, whole.mean, whole.low, whole.high, *edges])
    return Table(
        f"Spearman between score and true CIFAR-10 validation accuracy over the operations of an "
        f"edge; mean over {run.config().epochs} epochs; 95 % interval over edges and seeds",
        ["strategy", "score", "truth", "mean", "low", "high", *NB201.edge_names],
        rows,
    )


def _verdict(found: dict[str, np.ndarray], place: int, score: str) -> Verdict:
    means = [
        interval(np.nanmean(values[:, :, place, truth], axis=1))
        for values in found.values()
        for truth in range(len(_TRUTHS))
    ]
    clear = sum(m.low > 0 for m in means)
    positive = sum(m.mean > 0 for m in means)
    verdict: Holds = "does not hold"
    if clear == len(means):
        verdict = "holds"
    elif positive > len(means) / 2:
        verdict = "holds in part"
    return Verdict(
        f"{score} ranks the operations of an edge as the truth does",
        verdict,
        f"mean Spearman {', '.join(f'{m.mean:.2f}' for m in means)}; {clear} of {len(means)} "
        "intervals wholly above 0",
    )


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Mean rank correlation over epochs."""
    title = "Rank correlation with the truth, mean over edges and seeds"
    return {"cost_vs_truth": line_chart(numbers["lines"], title, "Spearman")}


STUDY = Study(
    name="cost-vs-truth",
    title="local cost and alpha against the true accuracy of operations",
    source="this project",
    own={"seeds": 2, "strategies": ["darts", "dsnas"]},
    reduced={
        "space": "nasbench201",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 8,
        "max_steps": 15,
        "alpha_lr": 0.01,
    },
    paper={"space": "nasbench201", "seeds": 3},
    measure=measure,
    draw=draw,
)
