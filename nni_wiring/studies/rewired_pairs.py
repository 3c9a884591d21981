"""One edge rewired, operations and parameters equal: is the wide cell faster, and better? (S3)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nni_wiring.studies.charts import line_chart, outline_panels
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.rewiring import (
    DEEP,
    FULL,
    SHORT,
    TOP,
    Array,
    Lead,
    Pairs,
    indices,
    lead,
    rewired,
    subsets,
)
from nni_wiring.studies.statistics import (
    Interval,
    Rule,
    Verdict,
    cluster_interval,
    holm,
    paired_flip,
)
from nni_wiring.studies.statistics.verdict import ALPHA, Holds
from nni_wiring.truth import DATASETS, NASBENCH201, TruthTable, load_table, table_for
from search_spaces.cell_graph import OPERATIONS

_BINS = np.linspace(-100, 100, 21)
_TESTED = ("12 epochs, points", "200 epochs, points", "T, percentiles")

FASTER = Rule(
    claim="the wide cell of a rewired pair is ahead after a 12-epoch training",
    null="the cells of a pair are exchangeable, jointly for equal operations into the output",
    minimum=3,
    unit="of three data sets with flip p < .05",
    family=3,
)
NO_BETTER = Rule(
    claim="the wide cell's lead shrinks by the end, and among good pairs it is gone",
    null=FASTER.null,
    minimum=0.5,
    unit="points after 200 epochs among pairs with a cell in the top quarter",
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


def exchange_test(values: Array, cluster: NDArray[np.int64]) -> ExchangeTest:
    """Signs are flipped jointly within a cluster."""
    sums = np.bincount(cluster, weights=values)
    spread = float(np.sqrt((sums**2).sum()) / len(values))
    return ExchangeTest(cluster_interval(values, cluster), spread, paired_flip(sums, "greater"))


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
    parts += [f"null: {rule.null}", f"least size {rule.minimum:g}"]
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
        minimum=rule.minimum,
    )


def _test_table(tests: Mapping[tuple[str, str], ExchangeTest]) -> Table:
    adjusted = holm([test.p for test in tests.values()]).tolist()
    rows = [
        [*names, *test.found[:3], test.spread, test.p, p]
        for (names, test), p in zip(tests.items(), adjusted, strict=True)
    ]
    columns = ["data", "lead", "mean", "low", "high", "sd under the null", "p", "by Holm"]
    return Table("wide minus deep; intervals and flips over 80 clusters of 16 pairs", columns, rows)


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
            cells += [*cluster_interval(values, cluster)[:3], 100 * float((values > 0).mean())]
        rows.append(cells)
    return rows


def _added_rows(table: TruthTable, dataset: str, pairs: Pairs) -> list[list[Any]]:
    """The wide cell with an operation on 1-2 beside the one on 0-2, minus the wide cell."""
    rows = []
    for place, name in enumerate(OPERATIONS[1:], start=1):
        cells = pairs.operations.copy()
        cells[:, DEEP] = place
        grown = indices(table, cells)
        change = [
            float((values[grown].astype(np.float64) - values[pairs.wide]).mean())
            for values in (table.values(dataset, "valid", epochs) for epochs in (SHORT, FULL))
        ]
        rows.append([dataset, name, *change])
    return rows


def _noise_rows(pairs: Pairs) -> list[list[Any]]:
    """Of the bundled table, which has the single seeds."""
    bundled = load_table("bundled")
    cells = [bundled.index_of(row) for row in map(tuple, pairs.operations.tolist())]
    rows: list[list[Any]] = []
    for dataset in DATASETS:
        metric = bundled.metric(dataset, "valid")
        seeds = np.stack([bundled.values(dataset, "valid", seed=s) for s in metric.known_seeds()])
        known = seeds[:, cells][:, np.isfinite(seeds[:, cells]).sum(axis=0) > 1]
        rows.append([dataset, float(np.median(np.nanstd(known, axis=0, ddof=1)))])
    return rows


def _unit_rows(table: TruthTable, dataset: str, pairs: Pairs, found: Lead) -> list[Row]:
    columns = {**pairs._asdict(), **found._asdict()}
    columns["wide_full_rank"], columns["deep_full_rank"] = columns.pop("ranks")
    del columns["operations"]
    lists = {name: column.tolist() for name, column in columns.items()}
    return [
        {"data": dataset, "arch": table.arch(wide), **{name: lists[name][k] for name in lists}}
        for k, wide in enumerate(lists["wide"])
    ]


def _decile_shares(found: Lead) -> dict[str, list[float | None]]:
    decile = np.ceil(found.ranks.max(axis=0) / 10).astype(int)
    return {
        f"{epochs} epochs": [
            100 * float((values[decile == k] > 0).mean()) if (decile == k).any() else None
            for k in range(1, 11)
        ]
        for epochs, values in ((SHORT, found.short), (FULL, found.full))
    }


def measure(run: StudyRun) -> Findings:
    """From the table alone; it must have the accuracies after 12 epochs."""
    table = table_for(NASBENCH201.name, run.config().run.benchmark)
    assert table is not None  # the bundled one is always there
    pairs = rewired(table)
    leads = {dataset: lead(table, pairs, dataset) for dataset in DATASETS}
    tests = {
        (dataset, name): exchange_test(values, pairs.cluster)
        for dataset, found in leads.items()
        for name, values in zip(_TESTED, (found.short, found.full, found.shift), strict=True)
    }
    good = {}
    for dataset, found in leads.items():
        members = found.ranks.max(axis=0) >= TOP
        good[dataset] = cluster_interval(found.full[members], pairs.cluster[members])
    faster, shift = ({d: tests[d, name] for d in leads} for name in (_TESTED[0], _TESTED[2]))
    by_subset = [row for d, found in leads.items() for row in _subset_rows(d, pairs, found)]
    grown = [row for dataset in leads for row in _added_rows(table, dataset, pairs)]
    ends = ["mean", "low", "high", "wins, %"]
    return Findings(
        tables=[
            _test_table(tests),
            Table(
                "wide minus deep in points, after 12 and after 200 epochs",
                ["data", "pairs", "n", *(f"{e}: {c}" for e in (SHORT, FULL) for c in ends)],
                by_subset,
            ),
            Table("1-2 added to the wide cell, points", ["data", "1-2", "12", "200"], grown),
            Table("median sd over seeds, 200 epochs", ["data", "points"], _noise_rows(pairs)),
        ],
        verdicts=[judge(FASTER, faster, None), judge(NO_BETTER, shift, good)],
        numbers={
            "bins": _BINS.tolist(),
            "leads": {
                dataset: {
                    f"{epochs} epochs": np.histogram(values, _BINS)[0].tolist()
                    for epochs, values in ((SHORT, found.short_rank), (FULL, found.full_rank))
                }
                for dataset, found in leads.items()
            },
            "wins": {dataset: _decile_shares(found) for dataset, found in leads.items()},
        },
        rows=[row for d, found in leads.items() for row in _unit_rows(table, d, pairs, found)],
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The leads in percentiles, and the wins by the better cell's decile after 200 epochs."""
    title = "Wide minus deep of 1,280 rewired pairs"
    deciles = "decile of the better cell after 200 epochs (0: the worst)"
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
    title="one edge rewired: accuracy after 12 and after 200 epochs",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(FASTER, NO_BETTER),
)
