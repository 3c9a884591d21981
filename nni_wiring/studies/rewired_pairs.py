"""One edge rewired, operations and parameters equal: is the wide cell faster, and better? (S3)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nni_wiring.studies.charts import line_chart, outline_panels
from nni_wiring.studies.frame import Findings, Study, StudyRun, Table
from nni_wiring.studies.rewiring import (
    DEEP,
    Array,
    Lead,
    Pairs,
    cluster_rows,
    indices,
    lead,
    of_known,
    rewired,
    subsets,
)
from nni_wiring.studies.statistics import (
    Interval,
    Rule,
    Verdict,
    cluster_interval,
    cluster_sums_interval,
    holm,
    interval,
    paired_flip,
)
from nni_wiring.studies.statistics.verdict import ALPHA, Holds
from nni_wiring.studies.truths import StudyTruth, in_table, table_mark, truth_of
from nni_wiring.truth import NASBENCH201, TruthTable, load_table
from search_spaces.cell_graph import OPERATIONS

_BINS = np.linspace(-100, 100, 21)
_TESTED = ("{} epochs, points", "{} epochs, points", "T, percentiles")

FASTER = Rule(
    claim="the wide cell of a rewired pair is ahead after the short training",
    null="the cells of a pair are exchangeable, jointly for equal operations into the output",
    minimum=3,
    unit="of the three data sets (of all that a table has) with flip p < .05",
    family=3,
)
NO_BETTER = Rule(
    claim="the wide cell's lead shrinks by the end, and among good pairs it is gone",
    null=FASTER.null,
    minimum=0.5,
    unit="points at the end among pairs with a cell in the top quarter",
    family=3,
)


class ExchangeTest(NamedTuple):
    """A mean lead against exchange within pairs.

    Attributes:
        found: the mean over pairs with its interval over clusters.
        spread: standard deviation of the mean under all flips.
        p: one-sided.
    """

    found: Interval
    spread: float
    p: float


def exchange_test(sums: Array, pairs: NDArray[np.int64]) -> ExchangeTest:
    """Signs are flipped jointly within a cluster.

    sums, pairs: (clusters,) sum of a cluster's leads, and their number.
    """
    spread = float(np.sqrt((sums**2).sum()) / max(1, pairs.sum()))
    return ExchangeTest(cluster_sums_interval(sums, pairs), spread, paired_flip(sums, "greater"))


def judge(
    rule: Rule, tests: Mapping[str, ExchangeTest], good: Mapping[str, Interval] | None
) -> Verdict:
    """By data set. All p < .05: holds, for ``good`` given only if its intervals lie inside the
    rule's size; some p < .05: in part; none, and all intervals below 0: does not hold.
    """
    passed = [name for name, test in tests.items() if test.p < ALPHA]
    inside = [
        name
        for name, found in (good or {}).items()
        if -rule.minimum < found.low and found.high < rule.minimum
    ]
    held: Holds = "cannot be said"
    if passed:
        whole = len(passed) == len(tests) and (good is None or len(inside) == len(good))
        held = "holds" if whole else "holds in part"
    elif all(test.found.high < 0 for test in tests.values()):
        held = "does not hold"
    worst = max(test.p for test in tests.values())
    parts = [f"{len(passed)} of {len(tests)} data sets with p < .05, largest p = {worst:.2g}"]
    for name, found in (good or {}).items():
        parts.append(f"{name}: {found.mean:+.2f} [{found.low:.2f}, {found.high:.2f}] {rule.unit}")
    minimum = rule.minimum if good is not None else float(len(tests))
    parts += [f"null: {rule.null}", f"least size {minimum:g}"]
    effect = float(len(passed) if good is None else len(inside))
    n = min(test.found.values for test in tests.values())
    return Verdict(
        rule.claim,
        held,
        "; ".join(parts),
        p=worst,
        n=n,
        null=rule.null,
        effect=effect,
        minimum=minimum,
    )


def _test_table(tests: Mapping[tuple[str, str], ExchangeTest]) -> Table:
    adjusted = holm([test.p for test in tests.values()]).tolist()
    rows = [
        [*names, *test.found[:3], test.spread, test.p, p]
        for (names, test), p in zip(tests.items(), adjusted, strict=True)
    ]
    columns = ["data", "lead", "mean", "low", "high", "sd under the null", "p", "by Holm"]
    title = "wide minus deep; intervals and flips over clusters of equal operations into the output"
    return Table(title, columns, rows)


def _subset_rows(dataset: str, pairs: Pairs, found: Lead) -> list[list[Any]]:
    rows = []
    for name, members in {
        "all": np.full(len(pairs.wide), True),
        **subsets(pairs, found.ranks),
    }.items():
        short, full = found.short[members], found.full[members]
        cluster = pairs.cluster[members]
        cells = [dataset, name, int(members.sum())]
        for values in (short, full):
            won = 100 * float((values > 0).mean()) if len(values) else None
            cells += [*cluster_interval(values, cluster)[:3], won]
        cells += [interval(ranks[members]).mean for ranks in (found.short_rank, found.full_rank)]
        rows.append(cells)
    return rows


def _added_rows(truth: StudyTruth, pairs: Pairs) -> list[list[Any]]:
    """The wide cell with an operation on 1-2 beside the one on 0-2, minus the wide cell."""
    rows = []
    for place, name in enumerate(OPERATIONS[1:], start=1):
        cells = pairs.operations.copy()
        cells[:, DEEP] = place
        grown = indices(truth.table, cells)
        change = [
            interval(values[grown].astype(np.float64) - values[pairs.wide]).mean
            for values in map(truth.values, truth.ends)
        ]
        rows.append([truth.dataset, name, *change])
    return rows


def _noise_rows(truths: Sequence[StudyTruth], pairs: Pairs) -> list[list[Any]]:
    """Of NAS-Bench-201 the bundled table's, which has the single seeds; else the table's own."""
    rows: list[list[Any]] = []
    for table, dataset, split in truths:
        source = load_table("bundled") if table.benchmark is NASBENCH201 else table
        cells = [source.index_of(row) for row in map(tuple, pairs.operations.tolist())]
        numbers = source.metric(dataset, split).known_seeds()
        seeds = np.array([source.values(dataset, split, seed=s)[cells] for s in numbers])
        known = seeds[:, np.isfinite(seeds).sum(axis=0) > 1]
        deviation = float(np.median(np.nanstd(known, axis=0, ddof=1))) if known.size else None
        rows.append([dataset, deviation])
    return rows


def _decile_shares(ends: tuple[int, int], found: Lead) -> dict[str, list[float | None]]:
    decile = np.ceil(found.ranks.max(axis=0) / 10).astype(int)
    return {
        f"{epochs} epochs": [
            100 * float((values[decile == k] > 0).mean()) if (decile == k).any() else None
            for k in range(1, 11)
        ]
        for epochs, values in zip(ends, (found.short, found.full), strict=True)
    }


def _histograms(ends: tuple[int, int], found: Lead) -> dict[str, list[int]]:
    return {
        f"{epochs} epochs": np.histogram(values, _BINS)[0].tolist()
        for epochs, values in zip(ends, (found.short_rank, found.full_rank), strict=True)
    }


def _measured(table: TruthTable) -> dict[str, Any]:
    """All that tables, verdicts and pictures need: of every cluster, not of every pair."""
    truths = [in_table(table, name) for name in table.benchmark.dataset_names]
    pairs, ends = rewired(table), truths[0].ends
    leads = {truth.dataset: of_known(truth, pairs, lead(truth, pairs)) for truth in truths}
    return {
        "ends": ends,
        "clusters": {name: cluster_rows(*found) for name, found in leads.items()},
        "subsets": [row for name, found in leads.items() for row in _subset_rows(name, *found)],
        "added": [row for truth in truths for row in _added_rows(truth, pairs)],
        "noise": _noise_rows(truths, pairs),
        "leads": {name: _histograms(ends, found) for name, (_, found) in leads.items()},
        "wins": {name: _decile_shares(ends, found) for name, (_, found) in leads.items()},
    }


def measure(run: StudyRun) -> Findings:
    """From the table alone; it must have accuracies after a shorter training, too."""
    asked = partial(table_mark, run)
    kept = run.part("pairs", lambda: _measured(truth_of(run).table), asked)
    names = [
        name.format(epochs) for name, epochs in zip(_TESTED, (*kept["ends"], None), strict=True)
    ]
    tests: dict[tuple[str, str], ExchangeTest] = {}
    good: dict[str, Interval] = {}
    for dataset, rows in kept["clusters"].items():
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        for name, column in zip(names, ("short", "full", "shift"), strict=True):
            tests[dataset, name] = exchange_test(columns[column], columns["pairs"])
        good[dataset] = cluster_sums_interval(columns["top_full"], columns["top_pairs"])
    faster, shift = ({d: tests[d, name] for d in good} for name in (names[0], names[2]))
    return Findings(
        tables=_tables(kept, tests),
        verdicts=[judge(FASTER, faster, None), judge(NO_BETTER, shift, good)],
        numbers={"bins": _BINS.tolist(), "leads": kept["leads"], "wins": kept["wins"]},
        rows=[{"data": d, **row} for d, rows in kept["clusters"].items() for row in rows],
    )


def _tables(kept: Mapping[str, Any], tests: Mapping[tuple[str, str], ExchangeTest]) -> list[Table]:
    short, full = kept["ends"]
    columns = ["mean", "low", "high", "wins, %"]
    return [
        _test_table(tests),
        Table(
            f"wide minus deep in points, after {short} and after {full} epochs",
            [
                *("data", "pairs", "n"),
                *(f"{e}: {c}" for e in (short, full) for c in columns),
                *(f"{e}: percentiles" for e in (short, full)),
            ],
            kept["subsets"],
        ),
        Table(
            "1-2 added to the wide cell, points",
            ["data", "1-2", str(short), str(full)],
            kept["added"],
        ),
        Table(f"median sd over seeds, {full} epochs", ["data", "points"], kept["noise"]),
    ]


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The leads in percentiles, and the wins by the better cell's decile after 200 epochs."""
    title = "Wide minus deep of 1,280 rewired pairs"
    deciles = "decile of the better cell after the whole training (0: the worst)"
    figures = {
        f"rewired_wins_{dataset}": line_chart(
            shares, f"Pairs that the wide cell wins, {dataset}", "%", deciles
        )
        for dataset, shares in numbers["wins"].items()
    }
    leads = outline_panels(
        numbers["leads"], numbers["bins"], title, "percentiles of all cells", "pairs"
    )
    return {"rewired_leads": leads, **figures}


STUDY = Study(
    name="rewired-pairs",
    title="one edge rewired: accuracy after a short and after the whole training",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(FASTER, NO_BETTER),
)
