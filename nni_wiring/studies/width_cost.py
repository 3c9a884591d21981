"""The preference for width: the cost of the intermediate edge where it is alive (S1).

In a cell that is empty the intermediate edge cannot win by construction: with 0-1 none its input is
0, and so is the cost of all its operations. S1's own experiment (its code's figure 10b) deletes and
fixes edges: an input node, a node behind a fixed convolution, and an output node that both enter.
That is the cell ``nasbench201`` here; in the other two the compared edges enter a node in the
middle. With 0-1 = skip_connect the intermediate edge reads the very tensor that the input edge
reads: a second, parallel input edge, and the null of the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.operation_costs import uniform_options
from nni_wiring.studies.pattern_runs import epoch_costs, mean_cost
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    EquivalenceRule,
    FlipRule,
    Verdict,
    holm,
    interval,
    paired_flip,
)


class Place(NamedTuple):
    """A space's two edges into one node, compared in cells with one way to each.

    Attributes:
        input, inner: the edges; inner starts at node 1, whose only edge is 0-1.
        convolution: that 0-1 is fixed to; skip_connect in the null.
        deleted: edges fixed to none.
    """

    input: str
    inner: str
    convolution: str
    deleted: tuple[str, ...] = ()

    def operations(self, condition: str) -> dict[str, list[str]]:
        """The constraint of a condition: "convolution" or "skip"."""
        fixed = self.convolution if condition == "convolution" else "skip_connect"
        return {"0-1": [fixed], **{edge: ["none"] for edge in self.deleted}}


#: By space.
PLACES: dict[str, Place] = {
    "nasbench201": Place("0-3", "1-3", "nor_conv_3x3", ("0-2", "1-2", "2-3")),
    "nasbench201_minimal": Place("0-2", "1-2", "nor_conv_3x3"),
    "simplified": Place("0-2", "1-2", "sep_conv_3x3"),
}
_CONDITIONS = ("convolution", "skip")

COSTLIER = FlipRule(
    claim="the intermediate edge costs more than the input edge into the same node, 0-1 a "
    "convolution",
    null="both cost the same: the difference is symmetric about 0 over seeds",
    minimum=0.003,
    unit="(dL/dZ)",
    spread=0.004,
    family=3,
)
CONTROL = EquivalenceRule(
    claim="control: with 0-1 = skip_connect both edges read one tensor and cost the same",
    null="the difference lies outside the margin",
    minimum=0.003,
    unit="(dL/dZ)",
    spread=0.002,
    family=3,
)


class Costs(NamedTuple):
    """One search: per epoch the mean cost of the real operations of both edges."""

    input: list[float]
    inner: list[float]

    @classmethod
    def of(cls, costs: Mapping[str, Sequence[float | None]]) -> Costs:
        """From JSON, where a cost that was not measured is null."""
        return cls(*(np.array(costs[name], dtype=float).tolist() for name in cls._fields))

    @property
    def difference(self) -> float:
        """Intermediate minus input edge, mean over the second half of the epochs."""
        late = len(self.input) // 2
        return interval(np.array(self.inner[late:]) - np.array(self.input[late:])).mean


Found = dict[tuple[str, str], list[Costs]]


def measure(run: StudyRun) -> Findings:
    """theta trained on uniformly sampled operations, alpha frozen, a search a seed."""
    found: Found = {}
    for space in run["spaces"]:
        for condition in _CONDITIONS:
            for seed in run.seeds:
                costs = run.part(
                    f"{space}-{condition}-s{seed}", partial(_costs, run, space, condition, seed)
                )
                found.setdefault((space, condition), []).append(Costs.of(costs))
    return Findings(
        [_table(found)], _verdicts(found), {"lines": _lines(found)}, _rows(found, run.seeds)
    )


def _costs(run: StudyRun, space: str, condition: str, seed: int) -> dict[str, list[float]]:
    folder = run.search(
        f"{space}-{condition}-s{seed}",
        **uniform_options(),
        space=space,
        operations=PLACES[space].operations(condition),
        seed=seed,
    )
    return edge_costs(PLACES[space], epoch_costs(folder))._asdict()


def edge_costs(place: Place, epochs: list[Any]) -> Costs:
    """The two edges' costs from a search's cost tables, one an epoch."""
    return Costs(
        [mean_cost(table, [place.input]) for table in epochs],
        [mean_cost(table, [place.inner]) for table in epochs],
    )


def _rows(found: Found, seeds: list[int]) -> list[Row]:
    return [
        {"space": space, "0-1": condition, "seed": seed}
        | {
            PLACES[space].input: costs.input,
            PLACES[space].inner: costs.inner,
            "difference": costs.difference,
        }
        for (space, condition), runs in found.items()
        for seed, costs in zip(seeds, runs, strict=True)
    ]


def _table(found: Found) -> Table:
    raw = [paired_flip([costs.difference for costs in runs]) for runs in found.values()]
    rows: list[list[Any]] = []
    for (place, runs), p, adjusted in zip(found.items(), raw, holm(raw), strict=True):
        whole = interval([costs.difference for costs in runs])
        late = len(runs[0].input) // 2
        means = [interval([costs.input[late:] for costs in runs]).mean]
        means.append(interval([costs.inner[late:] for costs in runs]).mean)
        edges = [PLACES[place[0]].input, PLACES[place[0]].inner]
        rows.append([*place, *edges, *means, *whole, p, float(adjusted)])
    return Table(
        "mean cost of all operations but none, second half of the epochs; difference: intermediate "
        "minus input edge, 95 % interval over seeds, two-sided sign-flip p, raw and by Holm",
        [
            *("space", "0-1", "input edge", "intermediate", "cost of the input edge"),
            *("cost of the intermediate", "difference", "low", "high", "seeds", "p", "p (Holm)"),
        ],
        rows,
    )


def _verdicts(found: Found) -> list[Verdict]:
    def differences(wanted: str) -> dict[str, list[float]]:
        return {
            space: [costs.difference for costs in runs]
            for (space, condition), runs in found.items()
            if condition == wanted
        }

    return [
        *COSTLIER.judge_all(differences("convolution")),
        *CONTROL.judge_all(differences("skip")),
    ]


def _lines(found: Found) -> dict[str, list[float]]:
    return {
        f"{space}, 0-1 {condition}": [
            interval([costs.inner[epoch] - costs.input[epoch] for costs in runs]).mean
            for epoch in range(len(runs[0].input))
        ]
        for (space, condition), runs in found.items()
    }


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The difference over epochs."""
    title = "Cost of the intermediate minus the input edge, mean over seeds"
    return {"width_cost": line_chart(numbers["lines"], title, "cost dL/dZ")}


STUDY = Study(
    name="width-cost",
    title="the intermediate edge against the input edge, both alive",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 8, "spaces": list(PLACES)},
    small={
        "head": "bias_free",
        "channels": 4,
        "cells": 1,
        "batch_size": 32,
        "epochs": 8,
        "max_steps": 40,
    },
    paper={"head": "bias_free", "batch_size": 96, "epochs": 150},
    measure=measure,
    plot=plot,
    rules=(COSTLIER, CONTROL),
    spaces=Spaces(names=tuple(PLACES)),
    sized=True,
)
