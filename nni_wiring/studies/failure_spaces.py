"""Magnitude against perturbation in the spaces where DARTS fails (S2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.result import ReadOff
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.describe import describe
from nni_wiring.search.reopen import reopen
from nni_wiring.search.selecting import select_again
from nni_wiring.selection.base import Selected
from nni_wiring.selection.magnitude import magnitude
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Study, StudyRun, Table
from nni_wiring.studies.statistics import FlipRule, Verdict, holm, interval, known, paired_flip
from search_spaces.registry import space_entry

#: Operations without a weight, or without any information: what a failed search piles up.
_EMPTY = {"none", "skip_connect", "noise", "max_pool_3x3", "avg_pool_3x3"}
_METHODS = ("magnitude", "perturbation")
_NO_CHOICE = "the way of selecting makes no difference: the mean over spaces is symmetric about 0"

PILES_UP = FlipRule(
    claim="selection by magnitude piles up skip, noise, pooling or none: more empty edges than "
    "operations drawn at random (mean over all spaces)",
    null="operations are drawn uniformly from those that the space allows",
    minimum=10.0,
    unit="percent of the edges",
    spread=12.0,
)
#: The statistic has heavy tails (a disconnected cell loses 80 points), which flips stand.
BETTER = FlipRule(
    claim="perturbation finds a better cell than magnitude on the same supernet (mean over all "
    "spaces that have a truth)",
    null=_NO_CHOICE,
    minimum=2.0,
    unit="points of true accuracy",
    spread=2.5,
)
FULLER = FlipRule(
    claim="perturbation leaves fewer empty edges than magnitude (mean over all spaces)",
    null=_NO_CHOICE,
    minimum=10.0,
    unit="percent of the edges",
    spread=12.0,
)


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
            search = partial(run.search, f"{space}-s{seed}", space=space, seed=seed, **changes)
            for method in _METHODS:
                cell = run.part(
                    f"{method}-{space}-s{seed}",
                    _selecting(search, method, run["selection_settings"]),
                )
                found.setdefault((space, method), []).append(Cell(**cell))
    bars = {
        f"{space}: {method}": float(np.mean([cell.empty for cell in cells]))
        for (space, method), cells in found.items()
    }
    accuracy = {space: _gain(found, space) for space in run["spaces"]}
    empty = {space: _emptied(found, space) for space in run["spaces"]}
    return Findings(
        [_table(found), _by_space(accuracy, empty)],
        _verdicts(found, accuracy, empty),
        {"bars": bars},
        [
            {"space": space, "seed": seed, "selection": method, **cell._asdict()}
            for (space, method), cells in found.items()
            for seed, cell in zip(run.seeds, cells, strict=True)
        ],
    )


def _selecting(
    search: Callable[[], RunFolder], method: str, settings: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    if method == "perturbation":
        return lambda: _perturbed(search(), settings)
    return lambda: _by_magnitude(search())


def _perturbed(folder: RunFolder, settings: dict[str, Any]) -> dict[str, Any]:
    return _cell(select_again(folder, "perturbation", settings))


def _by_magnitude(folder: RunFolder) -> dict[str, Any]:
    """argmax of p(alpha); in DARTS spaces the genotype that DARTS derives."""
    found = reopen(folder)
    groups, relaxation = found.strategy.groups, found.strategy.relaxation
    cells = {g.name: magnitude(g, relaxation.probabilities(g).detach()) for g in groups}
    return _cell(describe(found, folder.run_id, "magnitude", Selected(cells)))


def _cell(read: ReadOff) -> dict[str, Any]:
    operations = [op for cell in read.cells.values() for op in cell.operations.values()]
    return Cell(operations, read.true_accuracy())._asdict()


def _table(found: dict[tuple[str, str], list[Cell]]) -> Table:
    rows: list[list[Any]] = []
    for (space, method), cells in found.items():
        for seed, cell in enumerate(cells, start=1):
            kinds = sorted(set(cell.operations))
            counts = ", ".join(f"{cell.operations.count(kind)} {kind}" for kind in kinds)
            rows.append([space, seed, method, counts, cell.empty, cell.accuracy])
    return Table(
        "cells off the same supernets; empty: none, skip, noise or pooling",
        ["space", "seed", "selection", "operations", "empty %", "true accuracy %"],
        rows,
    )


def chance_empty(space: str) -> float:
    """Percent of empty edges among operations drawn uniformly from the allowed ones.

    A genotype never holds none, so that spaces with one draw from the others.
    """
    entry = space_entry(space)
    shares = []
    for names in entry.operations().values():
        drawn = [name for name in names if name != "none" or len(entry.kinds) == 1]
        shares.append(sum(name in _EMPTY for name in drawn) / len(drawn))
    return 100 * float(np.mean(shares))


def _gain(found: dict[tuple[str, str], list[Cell]], space: str) -> list[float]:
    """Per seed: true accuracy by perturbation minus that by magnitude; NaN without a truth."""
    pairs = zip(found[space, "magnitude"], found[space, "perturbation"], strict=True)
    return [
        float("nan")
        if old.accuracy is None or new.accuracy is None
        else new.accuracy - old.accuracy
        for old, new in pairs
    ]


def _emptied(found: dict[tuple[str, str], list[Cell]], space: str) -> list[float]:
    """Per seed: percent of empty edges by magnitude minus that by perturbation."""
    pairs = zip(found[space, "magnitude"], found[space, "perturbation"], strict=True)
    return [old.empty - new.empty for old, new in pairs]


def over_spaces(values: dict[str, list[float]]) -> list[float]:
    """Per seed the mean over the spaces that have a value; the unit is the seed, not the space."""
    return [interval(row).mean for row in zip(*values.values(), strict=True)]


def _by_space(accuracy: dict[str, list[float]], empty: dict[str, list[float]]) -> Table:
    rows: list[list[Any]] = []
    for what, values in (("true accuracy, points", accuracy), ("empty edges, percent", empty)):
        raw = [paired_flip(row, "greater") for row in values.values()]
        for (space, row), p, adjusted in zip(values.items(), raw, holm(raw), strict=True):
            found = interval(row)
            wins = int((known(row) > 0).sum())
            rows.append([what, space, *found, wins, p, float(adjusted)])
    return Table(
        "what perturbation gains over magnitude, by space: mean over seeds with its 95 % interval; "
        "one-sided sign-flip p, raw and by Holm over the spaces",
        ["gain", "space", "mean", "low", "high", "seeds", "seeds that gain", "p", "p (Holm)"],
        rows,
    )


def _verdicts(
    found: dict[tuple[str, str], list[Cell]],
    accuracy: dict[str, list[float]],
    empty: dict[str, list[float]],
) -> list[Verdict]:
    piled = {
        space: [cell.empty - chance_empty(space) for cell in found[space, "magnitude"]]
        for space in accuracy
    }
    return [
        PILES_UP.judge(over_spaces(piled)),
        BETTER.judge(over_spaces(accuracy)),
        FULLER.judge(over_spaces(empty)),
    ]


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Share of edges without a convolution."""
    title = "Edges without a convolution, mean over seeds"
    return {"failure_spaces": label_bars(numbers["bars"], title, "percent of edges")}


STUDY = Study(
    name="failure-spaces",
    title="magnitude against perturbation in the failure spaces",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={
        "seeds": 8,
        "spaces": ["nasbench201_s2", "nasbench201_s4", "nasbench201_s10"],
        "darts_cells": 3,
        "selection_settings": {"tune_epochs": 6, "max_steps": 10, "batches": 16},
    },
    small={
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
        "seeds": 8,
        "spaces": [
            *("nasbench201_s2", "nasbench201_s4", "nasbench201_s10"),
            *("darts_s1", "darts_s2", "darts_s3", "darts_s4"),
        ],
        "darts_cells": 8,
        "selection_settings": {},
    },
    measure=measure,
    plot=plot,
    rules=(PILES_UP, BETTER, FULLER),
    sized=True,
    reference={"selection_settings": {"tune_epochs": 25}},
)
