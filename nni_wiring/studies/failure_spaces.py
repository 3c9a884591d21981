"""Magnitude against perturbation in the spaces where DARTS fails (S2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import reopen
from nni_wiring.search.selecting import describe, select_again
from nni_wiring.selection.genotype import magnitude_genotype
from nni_wiring.selection.magnitude import magnitude
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict, graded

#: Operations without a weight, or without any information: what a failed search piles up.
_EMPTY = {"none", "skip_connect", "noise", "max_pool_3x3", "avg_pool_3x3"}
_METHODS = ("magnitude", "perturbation")


class Cell(NamedTuple):
    """A selected cell: its operations (of kept edges), and its true accuracy where there is one."""

    operations: list[str]
    accuracy: float | None

    @property
    def empty(self) -> float:
        """Percent of its edges without a convolution."""
        return 100 * sum(op in _EMPTY for op in self.operations) / len(self.operations)


def measure(run: StudyRun) -> Findings:
    """One DARTS search a space and seed, two cells off it."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for space in run["spaces"]:
        changes = {"cells": run["darts_cells"]} if space.startswith("darts") else {}
        for seed in run.seeds:
            folder = run.search(f"{space}-s{seed}", space=space, seed=seed, **changes)
            for method in _METHODS:
                cell = run.part(
                    f"{method}-{space}-s{seed}",
                    _selecting(folder, method, run["selection_settings"]),
                )
                found.setdefault((space, method), []).append(Cell(**cell))
    bars = {
        f"{space}: {method}": float(np.mean([cell.empty for cell in cells]))
        for (space, method), cells in found.items()
    }
    return Findings([_table(found)], [_failure(found, run), _rescue(found, run)], {"bars": bars})


def _selecting(folder: RunFolder, method: str, settings: dict[str, Any]) -> Any:
    if method == "perturbation":
        return lambda: _perturbed(folder, settings)
    return lambda: _by_magnitude(folder)


def _perturbed(folder: RunFolder, settings: dict[str, Any]) -> dict[str, Any]:
    return _cell(select_again(folder, "perturbation", settings))


def _by_magnitude(folder: RunFolder) -> dict[str, Any]:
    """argmax of p(alpha); in DARTS spaces the genotype that DARTS derives."""
    found = reopen(folder)
    groups, relaxation = found.strategy.groups, found.strategy.relaxation
    cells = {g.name: magnitude(g, relaxation.probabilities(g).detach()) for g in groups}
    described = describe(found, cells, magnitude_genotype(groups, relaxation))
    return _cell(described | {"truth_dataset": found.dataset})


def _cell(result: dict[str, Any]) -> dict[str, Any]:
    """The operations that the selected cells keep, of all kinds."""
    operations = [op for cell in result["cells"].values() for op in cell["operations"].values()]
    return Cell(operations, _accuracy(result))._asdict()


def _accuracy(result: dict[str, Any]) -> float | None:
    truth = result.get("truth")
    return None if truth is None else truth["accuracy"][result["truth_dataset"]]["valid"]


def _table(found: dict[tuple[str, str], list[Cell]]) -> Table:
    rows: list[list[Any]] = []
    for (space, method), cells in found.items():
        for seed, cell in enumerate(cells, start=1):
            kinds = sorted(set(cell.operations))
            counts = ", ".join(f"{cell.operations.count(kind)} {kind}" for kind in kinds)
            rows.append([space, seed, method, counts, cell.empty, cell.accuracy])
    return Table(
        "cells off the same supernets; empty: none, skip, noise or pooling",
        ["space", "seed", "selection", "operations", "empty %", "true CIFAR-10 validation %"],
        rows,
    )


def _failed(found: dict[tuple[str, str], list[Cell]], space: str) -> bool:
    """Whether more than half of the edges that magnitude selects are empty."""
    return float(np.mean([cell.empty for cell in found[space, "magnitude"]])) > 50


def _failure(found: dict[tuple[str, str], list[Cell]], run: StudyRun) -> Verdict:
    failed = [space for space in run["spaces"] if _failed(found, space)]
    verdict: Holds = "holds" if len(failed) == len(run["spaces"]) else "does not hold"
    if 0 < len(failed) < len(run["spaces"]):
        verdict = "holds in part"
    return Verdict(
        "with selection by magnitude DARTS piles up skip, noise or none in these spaces",
        verdict,
        f"more than half of the edges are empty in {len(failed)} of {len(run['spaces'])} spaces"
        + (f": {', '.join(failed)}" if failed else ""),
    )


def _rescue(found: dict[tuple[str, str], list[Cell]], run: StudyRun) -> Verdict:
    """Only where magnitude failed is there something to rescue."""
    scores = {space: _score(found, space) for space in run["spaces"]}
    failed = [scores[space] for space in run["spaces"] if _failed(found, space)]
    shown = ", ".join(f"{space} {score:g} of {run['seeds']}" for space, score in scores.items())
    return Verdict(
        "where magnitude fails, perturbation finds a better cell on the same supernet",
        graded(sum(failed) / (len(failed) * run["seeds"])) if failed else "cannot be said",
        f"better, by truth or else by fewer empty edges (an equal pair counts half): {shown}",
    )


def _score(found: dict[tuple[str, str], list[Cell]], space: str) -> float:
    score = 0.0
    for old, new in zip(found[space, "magnitude"], found[space, "perturbation"], strict=True):
        if old.accuracy is not None and new.accuracy is not None:
            better = new.accuracy - old.accuracy
        else:
            better = old.empty - new.empty
        score += 1.0 if better > 0 else 0.5 if better == 0 else 0.0
    return score


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Share of edges without a convolution."""
    title = "Edges without a convolution, mean over seeds"
    return {"failure_spaces": label_bars(numbers["bars"], title, "percent of edges")}


STUDY = Study(
    name="failure-spaces",
    title="magnitude against perturbation in the failure spaces",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={
        "seeds": 2,
        "spaces": ["nasbench201_s2", "nasbench201_s4", "nasbench201_s10"],
        "darts_cells": 3,
        "selection_settings": {"tune_epochs": 6, "max_steps": 10, "batches": 16},
    },
    reduced={
        "strategy": "darts",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 8,
        "max_steps": 20,
        "alpha_lr": 0.01,
    },
    paper={
        "strategy": "darts",
        "epochs": 100,
        "weight_decay": 3e-4,
        "track_stats": True,
        "seeds": 4,
        "spaces": [
            *("nasbench201_s2", "nasbench201_s4", "nasbench201_s10"),
            *("darts_s1", "darts_s2", "darts_s3", "darts_s4"),
        ],
        "darts_cells": 8,
        "selection_settings": {},
    },
    measure=measure,
    draw=draw,
)
