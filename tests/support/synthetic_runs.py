"""Runs written by hand through RunFolder: every number in them is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nni_wiring.runs.store import RunFolder
from search_spaces.cell_graph import NB201, OPERATIONS, Wiring

LETTERS = dict(zip(".s1ca", OPERATIONS, strict=True))  # none, skip, conv 1x1, conv 3x3, pool
CELLS = 3


def cell_of(row: str) -> dict[str, str]:
    """One letter an edge, in edge order: `.` none, `s` skip, `1` and `c` convolutions, `a` pool."""
    return dict(zip(NB201.edge_names, (LETTERS[letter] for letter in row), strict=True))


def alphas(row: str, epoch: int) -> dict[str, dict[str, float]]:
    """Alphas whose largest is that of `row`: 0.5 + epoch / 100 there, 0 elsewhere."""
    return {
        edge: {name: 0.5 + epoch / 100 if name == chosen else 0.0 for name in OPERATIONS}
        for edge, chosen in cell_of(row).items()
    }


def softmax(row: dict[str, float]) -> dict[str, float]:
    """Z of one edge."""
    total = sum(math.exp(value) for value in row.values())
    return {name: math.exp(value) / total for name, value in row.items()}


def costs(epoch: int) -> dict[str, dict[str, float | None]]:
    """-0.01 per place of the edge, times the place of the operation; none 0, pool never ran."""
    return {
        edge: {
            name: None if name == "avg_pool_3x3" else -0.01 * place * column * (1 + epoch)
            for column, name in enumerate(OPERATIONS)
        }
        for place, edge in enumerate(NB201.edge_names)
    }


def record(row: str, epoch: int) -> dict[str, Any]:
    """The record of one epoch whose largest alphas are those of `row`."""
    alpha, cost = alphas(row, epoch), costs(epoch)
    z = {edge: softmax(values) for edge, values in alpha.items()}
    cell = [list(values.values()) for values in cost.values()]
    return {
        "epoch": epoch,
        "seconds": 1.5,
        "steps": 4,
        "arch": Wiring(NB201, tuple(cell_of(row).values())).arch,
        "alpha": alpha,
        "z": z,
        "cost": {"alpha": {"mean": cost}, "weights": {"mean": cost}},
        "cost_cells": {"alpha": [cell] * CELLS},
        "loss": {"train": 2.0, "search": 2.1},
    }


def write_run(
    folder: Path,
    rows: str = "",
    *,
    status: str = "finished",
    error: str | None = None,
    result: dict[str, Any] | None = None,
    **config: Any,
) -> RunFolder:
    """Write a run into `folder` (its name is the run id).

    rows: one word per epoch, see :func:`cell_of`. config: settings over the defaults below.
    """
    settings = {
        "strategy": "darts",
        "space": "nasbench201",
        "data": "digits",
        "seed": 1,
        "epochs": len(rows.split()),
    }
    run = RunFolder.create(folder, folder.name, settings | config)
    for epoch, row in enumerate(rows.split()):
        run.append_epoch(record(row, epoch))
    if result is not None:
        run.write_result(result)
    run.set_status(status, error)
    return run
