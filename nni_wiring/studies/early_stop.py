"""Regret where rules without truth would have stopped finished searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.records import EpochRecord
from nni_wiring.runs.kept import KeptRun
from nni_wiring.studies.alpha_curvature import AlphaEigenvalue
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import (
    EDGES,
    OPERATIONS,
    ROWS,
    derives_by_magnitude,
    probabilities,
    read_rows,
)
from nni_wiring.studies.statistics import FlipRule, interval
from nni_wiring.studies.truths import truth_of
from nni_wiring.truth import NASBENCH201

Records = Sequence[EpochRecord]
#: The epoch at whose end a search stops, seeing the records up to it; None: it never does.
StopAt = Callable[[Records], int | None]

_SKIP, _CONV = "skip_connect", "nor_conv_3x3"
_SKIPS = 2  # DARTS+'s rules and their numbers
_STABLE = 10
_ENTROPY = 0.99  # of the largest possible one
_WINDOW, _BACK, _GROWTH, _FIRST = 5, 4, 1.3, 10  # RobustDARTS' rule, its code's defaults

SAVES = FlipRule(
    claim="stopping by this rule loses less than searching to the end",
    null="the difference of the two regrets is symmetric about 0",
    minimum=0.5,
    unit="points of regret saved",
    spread=1.0,
    family=6,
)


def first(true: Sequence[bool]) -> int | None:
    """The first place that is true."""
    return next((place for place, one in enumerate(true) if one), None)


def too_many_skips(records: Records) -> int | None:
    """DARTS+'s first rule: the derived cell has two skips or more."""
    skip = OPERATIONS.index(_SKIP)
    cells = [NASBENCH201.codec.parse(record.arch or "") for record in records]
    return first([cell.count(skip) >= _SKIPS for cell in map(list, cells)])


def stable_ranking(records: Records) -> int | None:
    """DARTS+'s second rule: the ranking of the learnable operations stands for ten epochs."""
    learnable = [place for place, name in enumerate(OPERATIONS) if "conv" in name]
    orders = [np.argsort(-probabilities(record)[:, learnable], axis=1) for record in records]
    since = 0
    for place, order in enumerate(orders):
        if place and not np.array_equal(order, orders[place - 1]):
            since = place
        if place - since >= _STABLE:
            return place
    return None


def gap_crosses(records: Records) -> int | None:
    """L - H on the search half is above 0: alpha's half is fitted worse than its own entropy."""
    return first([record.loss_minus_entropy.get("search", -1.0) > 0 for record in records])


def skip_is_cheaper(records: Records) -> int | None:
    """The mean local cost of skip over the edges is below that of the 3x3 convolution."""

    def advantage(record: EpochRecord) -> float:
        moments = record.cost.get("alpha") or record.cost.get("weights")
        if moments is None:
            return 0.0
        costs = [[moments.mean[edge].get(name) for name in (_SKIP, _CONV)] for edge in EDGES]
        known = [(skip, conv) for skip, conv in costs if skip is not None and conv is not None]
        return float(np.mean([conv - skip for skip, conv in known])) if known else 0.0

    return first([advantage(record) > 0 for record in records])


def entropy_falls(records: Records) -> int | None:
    """The mean entropy of p(alpha) over the edges is below .99 of the largest possible one."""

    def share(record: EpochRecord) -> float:
        p = probabilities(record)
        logs = np.log(p, where=p > 0, out=np.zeros_like(p))
        return float(-(p * logs).sum(axis=1).mean() / np.log(p.shape[1]))

    return first([share(record) < _ENTROPY for record in records])


def eigenvalue_grows(records: Records) -> int | None:
    """RobustDARTS' rule (Zela et al., 1909.09656): the largest eigenvalue of the Hessian in alpha,
    averaged over five epochs, is 1.3 times what it was four epochs before. The search goes back to
    the epoch in the middle of the earlier window, never before the tenth.
    """
    values = [record.statistics[AlphaEigenvalue.name] for record in records]
    for epoch in range(_FIRST + _BACK + _WINDOW // 2, len(values) - 1):
        now, before = (
            float(np.mean(values[max(0, end - _WINDOW) : end]))
            for end in (epoch + 1, epoch + 1 - _BACK)
        )
        if now > _GROWTH * before > 0:
            return epoch - _BACK - _WINDOW // 2
    return None


#: The rules, and what of a record's further statistics a rule reads: it is no rule for searches
#: without it.
READS = {"Hessian's eigenvalue grows (RobustDARTS)": AlphaEigenvalue.name}
RULES: dict[str, StopAt] = {
    "two skips (DARTS+)": too_many_skips,
    "ranking stable for 10 epochs (DARTS+)": stable_ranking,
    "L - H of the search half above 0": gap_crosses,
    "skip cheaper than conv 3x3": skip_is_cheaper,
    "entropy of p(alpha) below .99": entropy_falls,
    "Hessian's eigenvalue grows (RobustDARTS)": eigenvalue_grows,
}


def stops(kept: KeptRun, regret: Sequence[float]) -> list[Row]:
    """One row a rule: its epoch in one search, the regrets there, at the end and at the best."""
    rows: list[Row] = []
    for name, rule in RULES.items():
        needed = READS.get(name)
        if needed and any(needed not in record.statistics for record in kept.records):
            continue
        epoch = rule(kept.records)
        rows.append(
            {
                "label": kept.label,
                "method": kept.method,
                "seed": kept.seed,
                "rule": name,
                "epoch": epoch,
                "epochs": len(regret),
                "regret": regret[-1 if epoch is None else epoch],
                "at_the_end": regret[-1],
                "best": min(regret),
            }
        )
    return rows


def saved(rows: list[Row]) -> dict[str, list[float]]:
    """Points of regret saved by every rule, seed by seed; their mean is that over methods.

    Every method weighs the same, and so does every seed of a method: where all methods have the
    same seeds, a seed's value is the mean over its searches.
    """
    found: dict[str, dict[Any, dict[Any, list[float]]]] = {name: {} for name in RULES}
    for row in rows:
        seeds = found[row["rule"]].setdefault(row["method"], {})
        seeds.setdefault(row["seed"], []).append(row["at_the_end"] - row["regret"])
    return {name: _by_seed(methods) for name, methods in found.items()}


def _by_seed(methods: dict[Any, dict[Any, list[float]]]) -> list[float]:
    values: dict[Any, float] = defaultdict(float)
    for seeds in methods.values():
        for seed, gains in seeds.items():
            values[seed] += float(np.mean(gains)) / (len(methods) * len(seeds))
    return [len(values) * value for _, value in sorted(values.items())]


def measure(run: StudyRun) -> Findings:
    """Regret of the validation accuracy in points, from the table."""
    truth = truth_of(run)
    table, regret = truth.table, truth.table.regret(truth.dataset, truth.split)
    rows: list[Row] = []
    for kept in read_rows(run, derives_by_magnitude):
        places = [table.index_of(record.arch or "") for record in kept.records]
        rows += stops(kept, [float(value) for value in regret[places]])
    gains = saved(rows)
    lines = []
    for name in RULES:
        of = [row for row in rows if row["rule"] == name]
        stopped = [row["epoch"] for row in of if row["epoch"] is not None]
        means = [
            interval([row[key] for row in of]).mean for key in ("regret", "at_the_end", "best")
        ]
        middle = float(np.median(stopped)) if stopped else None
        lines.append([name, len(of), len(stopped), middle, *means, *interval(gains[name])[:3]])
    columns = ["rule", "searches", "stopped", "median epoch", "regret", "at the end", "best epoch"]
    names = ("label", "rule", "epoch", "regret", "at_the_end", "best")
    return Findings(
        tables=[
            Table(
                "regret in points, means over searches; saved: mean over methods with its interval "
                "over seeds",
                [*columns, "saved", "low", "high"],
                lines,
            ),
            Table(
                "every search",
                ["search", "rule", "stops at", "regret", "at the end", "best epoch"],
                [[row[name] for name in names] for row in rows],
            ),
        ],
        verdicts=SAVES.judge_all(gains),
        numbers={"saved": {name: interval(values).mean for name, values in gains.items()}},
        rows=rows,
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The points that every rule saves."""
    title = "Regret saved by stopping early"
    return {"early_stop": label_bars(numbers["saved"], title, "points")}


STUDY = Study(
    name="early-stop",
    title="regret where rules without truth would have stopped",
    source="ours; two of the rules are DARTS+'s, arXiv 1909.06035, one RobustDARTS', 1909.09656",
    own={ROWS: []},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(SAVES,),
    sized=True,
)
