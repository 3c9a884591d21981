"""Training curves of cells with one edge rewired, under three learning rates: wide or deep (S3).

Both cells of a pair start from the same weights and see the same images in the same order. Leads
are the wide cell's throughout: above 0 it is the faster or the better one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nni_wiring.errors import ConfigError
from nni_wiring.studies.charts import curve_panels
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.sizes import SMALL_TRAINING, TABULATED_TRAINING, reference_training
from nni_wiring.studies.statistics import (
    EquivalenceRule,
    FlipRule,
    Verdict,
    holm,
    interval,
    known,
    paired_flip,
    spearman,
)
from nni_wiring.studies.training_curves import (
    MEASURES,
    RATES,
    SHAPES,
    lead,
    trainings,
    with_measures,
)
from nni_wiring.studies.trainings import PAIRS, check_pairs, training_config, unless_small
from nni_wiring.studies.truths import StudyTruth, truth_of

FASTER = FlipRule(
    claim="the wide cell of a rewired pair learns faster (AUC of its training loss)",
    null="either cell of a pair is as likely to learn faster",
    minimum=0.05,
    unit="(mean log training loss, deep minus wide)",
    spread=0.04,
    family=len(RATES),
)
#: From as many channels on as NAS-Bench-201's networks have; narrower ones have the margin below.
NO_BETTER_CHANNELS = 16
NO_BETTER = EquivalenceRule(
    claim="the wide cell of a rewired pair ends no better, nor worse, on held-out images",
    null="the mean lead is at least as far from 0 as the margin",
    minimum=0.5,
    unit="points",
    spread=0.2,
    family=1,
)
NO_BETTER_SMALL = replace(NO_BETTER, minimum=2.0, spread=0.8, family=len(RATES))
#: Of the pairs that must agree with the claim; an effect of fewer holds in part.
AGREEING = 0.75


def measure(run: StudyRun) -> Findings:
    """Train both cells of every pair at every rate and compare their curves."""
    _check(run)
    rows = with_measures(run, trainings(run))
    return Findings(
        [_pairs(run, rows), _leads(run, rows), _agreement(run, rows), _cells(rows)],
        judged(run, rows),
        {"curves": _mean_curves(run, rows)},
        rows,
    )


def _check(run: StudyRun) -> None:
    if run["seeds"] < 1:
        raise ConfigError(f"seeds={run['seeds']} must be at least 1")
    check_pairs(run)
    rates = run["rates"]
    if not rates or len(set(rates)) < len(rates) or not set(rates) <= RATES.keys():
        raise ConfigError(f"rates={rates}: allowed, each once: {', '.join(RATES)}")
    training_config(run, arch=PAIRS[0].wide, protocol=run["protocol"])  # refuses what it cannot


def judged(run: StudyRun, rows: Sequence[Row]) -> list[Verdict]:
    """By the pairs' leads, at every rate; no verdict where the networks are small."""
    rates = run["rates"]
    faster = {RATES[rate]: list(lead(rows, "auc", rate).values()) for rate in rates}
    final = {RATES[rate]: list(lead(rows, "final", rate).values()) for rate in rates}
    found = [
        agreed(verdict, values)
        for verdict, values in zip(
            FASTER.judge_all(faster, "units: pairs"), faster.values(), strict=True
        )
    ]
    rule = NO_BETTER_SMALL if _channels(run) < NO_BETTER_CHANNELS else NO_BETTER
    return unless_small(run, [*found, *rule.judge_all(final, "units: pairs")])


def _channels(run: StudyRun) -> int:
    return int(
        training_config(run, arch=PAIRS[0].wide, protocol=run["protocol"]).flat()["channels"]
    )


def agreed(verdict: Verdict, leads: Sequence[float]) -> Verdict:
    """A verdict that holds, with too few pairs on its side, holds in part."""
    told = known(leads)
    few = verdict.verdict == "holds" and (told > 0).sum() < AGREEING * len(told)
    return verdict._replace(
        verdict="holds in part" if few else verdict.verdict,
        evidence=f"{verdict.evidence}; {_ahead(leads)} pairs agree",
    )


def _ahead(leads: ArrayLike) -> str:
    values = known(leads)
    return f"{int((values > 0).sum())} of {len(values)}"


def _tabulated(truth: StudyTruth) -> dict[tuple[str, int], float]:
    """(cell, epochs) -> accuracy, percent, after the ends that the table has."""
    found = {}
    for epochs in truth.ends:
        if not truth.has(epochs):
            continue  # the bundled table has no 12-epoch trainings
        values = truth.values(epochs)
        for pair in PAIRS:
            for arch in (pair.wide, pair.deep):
                found[arch, epochs] = float(values[truth.table.index_of(arch)])
    return found


def _pairs(run: StudyRun, rows: list[Row]) -> Table:
    truth = truth_of(run)
    tabulated = _tabulated(truth)
    lines = []
    for rate in run["rates"]:
        leads = [lead(rows, name, rate) for name in MEASURES]
        for number in leads[0]:
            pair = PAIRS[number - 1]
            beside = [
                tabulated[pair.wide, epochs] - tabulated[pair.deep, epochs]
                if (pair.wide, epochs) in tabulated
                else None
                for epochs in truth.ends
            ]
            lines.append([RATES[rate], number, *(found[number] for found in leads), *beside])
    titles = [f"d {title}" for title, _ in MEASURES.values()]
    return Table(
        "the wide cell's lead, mean over seeds: mean log training loss, epochs to the half, points "
        f"on held-out images; beside it points of {truth.title}, table {truth.table.name}",
        ["rate", "pair", *titles, *(f"d {epochs} epochs" for epochs in truth.ends)],
        lines,
    )


def _leads(run: StudyRun, rows: list[Row]) -> Table:
    values = {
        (RATES[rate], title): np.array(list(lead(rows, name, rate).values()))
        for rate in run["rates"]
        for name, (title, _) in MEASURES.items()
    }
    if {"full", "tenth"} <= set(run["rates"]):
        values["lr minus lr / 10", "AUC"] = values["lr", "AUC"] - values["lr / 10", "AUC"]
    p = [paired_flip(leads, "two-sided") for leads in values.values()]
    lines = [
        [*names, *interval(leads)[:3], _ahead(leads), *tested]
        for (names, leads), *tested in zip(values.items(), p, holm(p).tolist(), strict=True)
    ]
    return Table(
        "the wide cell's lead over pairs; 95 % interval, pairs in which it is ahead, two-sided flip"
        " p",
        ["rate", "measure", "mean", "low", "high", "ahead", "p", "by Holm"],
        lines,
    )


def _agreement(run: StudyRun, rows: list[Row]) -> Table:
    truth = truth_of(run)
    tabulated = _tabulated(truth)
    lines: list[list[Any]] = []
    for rate in run["rates"]:
        finals: dict[str, list[float]] = {}
        for row in rows:
            if row["rate"] == rate:
                finals.setdefault(row["arch"], []).append(row["final"])
        own = [float(np.mean(values)) for values in finals.values()]
        beside = [
            spearman(own, [tabulated.get((arch, epochs), math.nan) for arch in finals])
            for epochs in truth.ends
        ]
        lines.append([RATES[rate], len(own), *beside])
    return Table(
        "Spearman's correlation of the cells' own final accuracy with the tabulated one; at the "
        "size paper that after 12 epochs should exceed .8",
        ["rate", "cells", *(f"{epochs} epochs" for epochs in truth.ends)],
        lines,
    )


def _cells(rows: list[Row]) -> Table:
    lines = [
        [RATES[row["rate"]], *(row[name] for name in ("pair", "cell", "seed", *MEASURES))]
        + [row["loss"][-1] if row["loss"] else None, row["error"] or ""]
        for row in rows
    ]
    columns = ["rate", "pair", "cell", "seed", *(t for t, _ in MEASURES.values())]
    return Table("every training", [*columns, "last training loss", "error"], lines)


def _mean_curves(run: StudyRun, rows: list[Row]) -> dict[str, Any]:
    """rate -> pair -> cell -> training loss by epoch, mean over seeds."""
    found: dict[str, Any] = {}
    for rate in run["rates"]:
        panels = found[rate] = {}
        for number in range(1, run["pairs"] + 1):
            panels[f"pair {number}"] = {
                shape: _mean(
                    row["loss"]
                    for row in rows
                    if (row["rate"], row["pair"], row["cell"]) == (rate, number, shape)
                )
                for shape in SHAPES
            }
    return found


def _mean(curves: Any) -> list[float]:
    whole = [curve for curve in curves if curve]  # diverged ones have none
    return np.mean(whole, axis=0).tolist() if whole else []


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """A picture a rate: a panel a pair, two curves each."""
    return {
        f"convergence_{rate}": curve_panels(
            panels, f"Training loss, mean over seeds ({RATES[rate]})", "nats", "epoch"
        )
        for rate, panels in numbers["curves"].items()
    }


STUDY = Study(
    name="convergence",
    title="training curves of cells with one edge rewired, under three learning rates",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={
        "seeds": 3,
        "pairs": 6,  # the others are placebos, whose two cells are one function
        "rates": list(RATES),
        "protocol": "short",
    },
    small=SMALL_TRAINING,
    paper={**TABULATED_TRAINING, "seeds": 1, "rates": ["full"]},
    measure=measure,
    plot=plot,
    rules=(FASTER, NO_BETTER, NO_BETTER_SMALL),
    reference_size=reference_training,
)
