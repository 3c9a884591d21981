"""Runs that no benchmark knows, by hand: two kinds of DARTS-type cell, and a lone LayerChoice."""

from __future__ import annotations

import math
from pathlib import Path

from nni_wiring.records import CostMoments, DerivedCell, EdgeTable, EpochRecord
from nni_wiring.runs.store import RunFolder
from search_spaces.genotypes import MINIMAL_GRAPH

OPERATIONS = ("none", "skip_connect", "max_pool_3x3", "sep_conv_3x3")
LETTERS = dict(zip(".smc", OPERATIONS, strict=True))
#: Per epoch the operations of the normal and the reduction cell; edges 0-2 1-2 0-3 1-3 2-3.
HISTORY = (("ccccc", "mmmmm"), (".....", "mmm.m"), ("cs.cc", "m.m.m"))


def cell_of(row: str) -> dict[str, str]:
    """One letter an edge of S1's minimal cell: `.` none, `s` skip, `m` max pool, `c` sep conv."""
    return dict(zip(MINIMAL_GRAPH.edge_names, (LETTERS[letter] for letter in row), strict=True))


def alpha_of(row: str, epoch: int) -> EdgeTable:
    """Alphas whose largest is that of `row`: 1 + epoch there, 0 elsewhere."""
    return {
        edge: {name: 1.0 + epoch if name == chosen else 0.0 for name in OPERATIONS}
        for edge, chosen in cell_of(row).items()
    }


def softmax(row: dict[str, float | None]) -> dict[str, float | None]:
    """Z of one edge."""
    total = sum(math.exp(value or 0.0) for value in row.values())
    return {name: math.exp(value or 0.0) / total for name, value in row.items()}


def two_kinds(epoch: int, with_cells: bool = True) -> EpochRecord:
    """The record of one epoch of a search on normal and reduction cells.

    The mean cost of operation number k is -k / 10 in the normal, k / 10 in the reduction cell.
    """
    rows = dict(zip(("normal", "reduce"), HISTORY[epoch], strict=True))
    alpha: EdgeTable = {}
    mean: EdgeTable = {}
    for kind, row in rows.items():
        sign = -1 if kind == "normal" else 1
        for edge, values in alpha_of(row, epoch).items():
            alpha[f"{kind}/{edge}"] = values
            mean[f"{kind}/{edge}"] = {name: sign * k / 10 for k, name in enumerate(OPERATIONS)}
    cells = {k: DerivedCell(k, cell_of(row), MINIMAL_GRAPH) for k, row in rows.items()}
    return EpochRecord(
        epoch,
        alpha=alpha,
        z={edge: softmax(row) for edge, row in alpha.items()},
        cost={"alpha": CostMoments(mean, {}, {})},
        cost_cells={
            f"{kind}/alpha": [
                [list(mean[f"{kind}/{edge}"].values()) for edge in MINIMAL_GRAPH.edge_names]
            ]
            for kind in rows
        },
        cells=cells if with_cells else {},
    )


def lone_choice(epoch: int) -> EpochRecord:
    """The record of one epoch of a search on one LayerChoice, whose alphas are 0 and its epoch."""
    alpha: EdgeTable = {"layer": {"conv": float(epoch), "pool": 0.5}}
    chosen = "conv" if epoch > 0 else "pool"
    mean: EdgeTable = {"layer": {"conv": -1.0, "pool": 1.0}}
    return EpochRecord(
        epoch,
        alpha=alpha,
        z={"layer": softmax(alpha["layer"])},
        cost={"alpha": CostMoments(mean, {}, {})},
        cost_cells={"alpha": [[[-1.0, 1.0]]]},
        cells={"layer": DerivedCell("layer", {"layer": chosen})},
        arch=f"layer={chosen}",
    )


def write(folder: Path, records: list[EpochRecord], space: str) -> RunFolder:
    """A finished run of `records`; its id is the folder's name."""
    config = {"strategy": "darts", "space": space, "data": "digits", "epochs": len(records)}
    run = RunFolder.create(folder, folder.name, config)
    for record in records:
        run.append_epoch(record.to_json())
    run.set_status("finished")
    return run
