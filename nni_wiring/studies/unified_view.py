"""The unified view, shown: every method's gradient of alpha against the local cost (S1).

All methods start from the same theta, alpha and batch, in float64; ``alpha_steps`` says what is
compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.alpha_steps import METHODS, Batch, Steps
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    EquivalenceRule,
    IdentityRule,
    Verdict,
    interval,
    spearman,
)

#: Standard deviation of the common alpha: probabilities that differ, and none near 0.
_ALPHA_SCALE = 0.5

LOCAL = IdentityRule(
    claim="alpha's gradient is the local step times the slope that the method's form gives",
    tolerance=1e-10,
)
GLOBAL = EquivalenceRule(
    claim="ENAS rewards all edges with one number: over so many draws its gradient goes with the "
    "local cost by no more than the margin",
    null="the rank correlation over edges and operations lies outside the margin",
    minimum=0.3,
    unit="(Spearman)",
    spread=0.2,
)


#: A clamped reward is no cost.
_OPTIONS: dict[str, dict[str, Any]] = {"dsnas": {"reward_clamp": None}}


def measure(run: StudyRun) -> Findings:
    """One step of every method and seed from the same theta, alpha and batch."""
    for strategy in run["strategies"]:
        if strategy not in METHODS:
            raise ConfigError(
                f"strategies: {strategy!r:.60} is not compared; allowed: {', '.join(METHODS)}"
            )
    rows: list[Row] = []
    for seed in run.seeds:
        parts = {
            strategy: run.part(f"{strategy}-s{seed}", _measuring(run, strategy, seed))
            for strategy in dict.fromkeys(["darts", *run["strategies"]])
        }
        reference = np.array(parts["darts"]["gradient"])
        for strategy in run["strategies"]:
            part = parts[strategy]
            agreement = spearman(np.ravel(part["gradient"]), reference.ravel())
            rows.append(
                {"strategy": strategy, "seed": seed, "with_darts": agreement}
                | {key: part[key] for key in ("slope", "expected", "rho", "deviation", "draws")}
            )
    bars = {
        strategy: interval([row["with_darts"] for row in rows if row["strategy"] == strategy]).mean
        for strategy in run["strategies"]
    }
    return Findings([_table(rows, run["strategies"])], _verdicts(rows), {"bars": bars}, rows)


def _measuring(run: StudyRun, strategy: str, seed: int) -> Callable[[], dict[str, Any]]:
    def measured() -> dict[str, Any]:
        found, batch = common_start(run, strategy, seed)
        steps = METHODS[strategy].steps(found, batch, run["draws"])
        return compared(steps, METHODS[strategy].slope(found))

    return measured


def common_start(run: StudyRun, strategy: str, seed: int) -> tuple[OpenSearch, Batch]:
    """A method's search, float64, at DARTS' theta of this seed, with the common alpha and batch."""
    options = {"seed": seed, "augment": False}
    first = open_search(run.config(strategy="darts", **options))
    found = open_search(run.config(strategy=strategy, **options, **_OPTIONS.get(strategy, {})))
    theta = {
        name: value
        for name, value in first.module.model.state_dict().items()
        if not name.startswith("edge_groups")
    }
    found.module.model.load_state_dict(theta, strict=False)
    found.module.double().train()
    [group] = found.strategy.groups
    noise = torch.randn(group.alpha.shape, generator=torch.Generator().manual_seed(seed))
    if strategy != "enas":  # its alpha is what its controller says
        with torch.no_grad():
            group.alpha.copy_(_ALPHA_SCALE * noise)
    images, labels = next(iter(first.loaders.train))
    return found, (images.double(), labels)


def compared(steps: Steps, expected: float | None) -> dict[str, Any]:
    """Slope through 0 and Spearman of the gradient on the local step over all draws, and the
    largest deviation from the expected slope, relative to the largest gradient.
    """
    x, y = steps.local.ravel(), steps.gradient.ravel()
    scale = float(np.abs(y).max())
    deviation = None
    if expected is not None:
        deviation = float(np.abs(y - expected * x).max()) / scale if scale else float("nan")
    return {
        "slope": float(x @ y / (x @ x)) if x.any() else float("nan"),
        "expected": expected,
        "rho": spearman(x, y),
        "deviation": deviation,
        "draws": len(steps.gradient),
        "gradient": steps.gradient.mean(axis=0).tolist(),
    }


def _table(rows: list[Row], strategies: list[str]) -> Table:
    table = []
    for strategy in strategies:
        own = [row for row in rows if row["strategy"] == strategy]
        worst = [row["deviation"] for row in own if row["deviation"] is not None]
        table.append(
            [strategy, METHODS[strategy].form, own[0]["draws"], own[0]["expected"]]
            + [interval([row["slope"] for row in own]).mean]
            + [max(worst) if worst else None, *interval([row["rho"] for row in own])[:3]]
            + [interval([row["with_darts"] for row in own]).mean]
        )
    return Table(
        "gradient of alpha against the local step w (C - sum w C), float64; means over seeds, 95 % "
        "interval of the Spearman correlation over seeds; last: the mean gradient's Spearman with "
        "DARTS'",
        [
            *("method", "w", "draws", "slope by the form", "slope", "largest deviation"),
            *("Spearman", "low", "high", "with DARTS"),
        ],
        table,
    )


def _verdicts(rows: list[Row]) -> list[Verdict]:
    verdicts = []
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        own = [row for row in rows if row["strategy"] == strategy]
        if strategy == "enas":
            verdicts.append(GLOBAL.judge([row["rho"] for row in own]))
            continue
        known = [row["deviation"] for row in own if row["deviation"] is not None]
        slope = f"slope {own[0]['expected']:.3g}; draws x seeds, relative to the largest gradient"
        worst = max(known, default=float("nan"))  # where no draw moved alpha there is none
        verdict = LOCAL.judge(worst, own[0]["draws"] * len(known), slope)
        verdicts.append(verdict._replace(claim=f"{strategy}: {verdict.claim}"))
    return verdicts


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Agreement of every method's mean gradient with DARTS'."""
    title = "Gradient of alpha: agreement with DARTS, same theta, alpha and batch"
    return {"unified_view": label_bars(numbers["bars"], title, "Spearman, mean over seeds")}


STUDY = Study(
    name="unified-view",
    title="every method's gradient of alpha against the local cost",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 8, "strategies": list(METHODS), "draws": 200},
    small={
        "space": "nasbench201",
        "head": "bias_free",
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
    },
    paper={"space": "nasbench201", "head": "bias_free", "batch_size": 96},
    measure=measure,
    plot=plot,
    rules=(LOCAL, GLOBAL),
    spaces=Spaces(one_kind=True),
)
