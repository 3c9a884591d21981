"""Do wider random wirings learn faster, and do they end better? (S3)

Widths of random wirings without training, and trainings of DARTS' cell with its connections drawn
anew by S3's rule and by three families of random graphs, with all nodes on both inputs, and with
its operations drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.studies.charts import scatter_panels
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.random_wirings import GENERATORS, depth, width
from nni_wiring.studies.sizes import reference_training
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    FollowsRule,
    Verdict,
    holm,
    interval,
    jackknifed,
    shuffled_p,
)
from nni_wiring.studies.training_curves import log_area
from nni_wiring.studies.trainings import training_config, unless_small
from nni_wiring.studies.wired_cells import PUBLISHED, Net, nets, train_net

#: Nodes of DARTS' and SNAS' cells, and of NASNet's, AmoebaNet's and ENAS'.
_NODES = (4, 5)
_WIDE, _SHALLOW = (3.5, 4.0, 5.0), (2, 3)

FOLLOWS = FollowsRule(
    claim="of cells with DARTS' operations on other connections the wider ones learn faster (AUC "
    "of the training loss), and do not end better",
    null="widths are exchanged among the cells at random",
    minimum=0.3,
    unit="(Spearman of width and -AUC over cells)",
    spread=math.nan,
)


def measure(run: StudyRun) -> Findings:
    """Widths of all generators; one training a net and seed."""
    _check(run)
    drawn = run.part("widths", lambda: widths(run["draws"]))
    found = [
        run.part(f"{net.name}-s{seed}", _training(run, net, seed))
        for net in nets(run["conn"], run["graphs"], run["ops"])
        for seed in run.seeds
    ]
    rows = [{**row, "auc": log_area([_known(loss) for loss in row["loss"]])} for row in found]
    cells = per_cell(rows)
    wired = [cell for cell in cells if cell["kind"] != "ops"]
    return Findings(
        [_widths(drawn, run["draws"]), _kinds(cells), _correlations(wired), _nets(cells)],
        unless_small(run, [judge(wired)], PUBLISHED),
        {"points": _points(cells)},
        rows,
    )


def _training(run: StudyRun, net: Net, seed: int) -> Any:
    return lambda: train_net(run, net, seed)


def _check(run: StudyRun) -> None:
    """Raises ConfigError for options that no measurement can be made with."""
    for name, least in {"seeds": 1, "conn": 0, "graphs": 0, "ops": 0, "draws": 1}.items():
        if run[name] < least:
            raise ConfigError(f"{name}={run[name]} must be at least {least}")
    training_config(run, arch=PUBLISHED, protocol=run["protocol"])  # refuses what it cannot


def widths(draws: int) -> list[Row]:
    """Mean and tails of width (c) and depth of ``draws`` wirings of every generator."""
    rows: list[Row] = []
    for nodes in _NODES:
        for name, generate in GENERATORS.items():
            wirings = [generate(nodes, seed) for seed in range(draws)]
            wide = np.array([float(width(sources)) for sources in wirings])
            deep = np.array([depth(sources) for sources in wirings])
            rows.append(
                {"nodes": nodes, "generator": name, "width": float(wide.mean())}
                | {f"at_least_{level:g}": float((wide >= level).mean()) for level in _WIDE}
                | {"depth": float(deep.mean())}
                | {f"at_most_{level}": float((deep <= level).mean()) for level in _SHALLOW}
            )
    return rows


def per_cell(rows: Sequence[Row]) -> list[Row]:
    """One row a net: its AUC and final accuracy, mean over the seeds; NaN where one diverged."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["net"], []).append(row)
    shown = ("net", "kind", "width", "depth", "reduce_width", "reduce_depth")
    return [
        {name: own[0][name] for name in shown}
        | {name: float(np.mean([_known(row[name]) for row in own])) for name in ("auc", "final")}
        for own in found.values()
    ]


def judge(cells: Sequence[Row]) -> Verdict:
    """By the cells that have DARTS' operations."""
    return FOLLOWS.judge(
        [cell["width"] for cell in cells],
        [-cell["auc"] for cell in cells],
        [cell["final"] for cell in cells],
        "units: cells; the other: Spearman of width and final accuracy",
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _widths(rows: list[Row], draws: int) -> Table:
    titles = ["nodes", "generator", "E[width], c", *(f"P(>= {level:g}c)" for level in _WIDE)]
    titles += ["E[depth]", *(f"P(depth <= {level})" for level in _SHALLOW)]
    return Table(
        f"random wirings, normal cells, {draws} draws each",
        titles,
        [[*row.values()] for row in rows],
    )


def _kinds(cells: Sequence[Row]) -> Table:
    lines = []
    for kind in dict.fromkeys(cell["kind"] for cell in cells):
        own = [cell for cell in cells if cell["kind"] == kind]
        line: list[Any] = [kind, len(own), float(np.mean([cell["width"] for cell in own]))]
        for name in ("auc", "final"):
            values = [cell[name] for cell in own]
            line += [interval(values).mean, _spread(values)]
        lines.append(line)
    return Table(
        "by kind; AUC: mean log training loss; final: held-out accuracy, percent; sd: over nets",
        ["kind", "nets", "mean width, c", "AUC", "sd", "final", "sd"],
        lines,
    )


def _spread(values: Sequence[float]) -> float:
    x = np.array([value for value in values if not math.isnan(value)])
    return float(x.std(ddof=1)) if len(x) > 1 else math.nan


def _correlations(cells: Sequence[Row]) -> Table:
    speeds = {"-AUC": [-cell["auc"] for cell in cells], "final": [c["final"] for c in cells]}
    lines: list[list[Any]] = []
    for shape in ("width", "depth", "reduce_width", "reduce_depth"):
        for name, values in speeds.items():
            x = np.array([cell[shape] for cell in cells])
            signed = -x if "depth" in shape else x
            lines.append([shape, name, *jackknifed(x, values), shuffled_p(signed, values)])
    adjusted = holm([line[-1] for line in lines]).tolist()
    return Table(
        "Spearman's correlation over the nets with DARTS' operations, 95 % interval by the "
        "jackknife; p: one-sided, wide and shallow is better, 20,000 orders",
        ["of the cell", "with", "rho", "low", "high", "nets", "p", "by Holm"],
        [[*line, p] for line, p in zip(lines, adjusted, strict=True)],
    )


def _nets(cells: Sequence[Row]) -> Table:
    names = ("net", "width", "depth", "reduce_width", "reduce_depth", "auc", "final")
    return Table(
        "every net, mean over seeds; width in c",
        ["net", "width", "depth", "width, reduction", "depth, reduction", "AUC", "final"],
        [[cell[name] for name in names] for cell in cells],
    )


def _points(cells: Sequence[Row]) -> dict[str, Any]:
    """panel -> kind -> [widths, values]."""
    found: dict[str, Any] = {}
    for title, name in (("AUC of the training loss", "auc"), ("held-out accuracy, %", "final")):
        panel = found[title] = {}
        for kind in dict.fromkeys(cell["kind"] for cell in cells):
            own = [cell for cell in cells if cell["kind"] == kind]
            panel[kind] = [[cell["width"] for cell in own], [cell[name] for cell in own]]
    return found


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Speed and end against the width of the normal cell."""
    title = "Cells with connections or operations drawn anew"
    return {"random_wiring": scatter_panels(numbers["points"], title, "width, c")}


STUDY = Study(
    name="random-wiring",
    title="widths of random wirings, and how cells with random connections train",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={"seeds": 1, "conn": 10, "graphs": 3, "ops": 3, "draws": 2000, "protocol": "clutter"},
    small={
        "space": "darts",
        "data": "clutter",
        "split": "full+valid",
        "augment": False,
        "channels": 4,
        "cells": 4,
        "batch_size": 32,
        "epochs": 6,
        "max_steps": 40,
        "lr": 0.01,
    },
    paper={
        "space": "darts",
        "channels": 16,
        "cells": 8,
        "batch_size": 96,
        "epochs": 12,
        "lr": 0.025,
        "weight_decay": 3e-4,
        "nesterov": False,
        "conn": 12,
        "ops": 5,
        "protocol": "short",
    },
    measure=measure,
    plot=plot,
    rules=(FOLLOWS,),
    spaces=Spaces(names=("darts",)),
    reference={"cells": 4},
    reference_size=reference_training,
)
