"""Width and depth of published DARTS-type cells against exactly enumerated random wirings (S3),
and the edges that published cells of NAS-Bench-201 leave empty (S1's P2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import partial
from itertools import combinations, product
from math import comb
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from scipy import stats

from nni_wiring.studies.charts import level_bars
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.published_cells import (
    DROPPED,
    distinct,
    edge_rows,
    group_rows,
    judge_dropped,
    live_shares,
    tables,
)
from nni_wiring.studies.statistics import Rule, Verdict, holm
from nni_wiring.studies.statistics.verdict import ALPHA, Holds
from nni_wiring.studies.truths import table_mark, truth_of

#: Probability of every value; exact.
Distribution = Mapping[Fraction, Fraction]


class CellType(NamedTuple):
    """Node j draws two of its 2 + j predecessors.

    Attributes:
        nodes: intermediate nodes, all concatenated into the output.
        repeats: whether a node may draw the same predecessor twice.
    """

    nodes: int
    repeats: bool


class PublishedCell(NamedTuple):
    """A cell's figures, width in units of c.

    Those of normal cells are read off the topology figure in S3's repository; those of reduction
    cells, which the figure lacks, follow from the genotypes there by the same definition.
    """

    name: str
    type: CellType
    width: Fraction
    depth: int


_DARTS, _NASNET = CellType(4, repeats=False), CellType(5, repeats=True)


def _cell(name: str, kind: CellType, width: str, depth: int) -> PublishedCell:
    return PublishedCell(name, kind, Fraction(width), depth)


CELLS: dict[str, tuple[PublishedCell, ...]] = {
    "normal": (
        _cell("NASNet", _NASNET, "5", 2),
        _cell("AmoebaNet", _NASNET, "4", 4),
        _cell("ENAS", _NASNET, "5", 2),
        _cell("DARTS", _DARTS, "3.5", 3),
        _cell("SNAS", _DARTS, "4", 2),
    ),
    "reduction": (
        _cell("NASNet", _NASNET, "3.5", 3),
        _cell("AmoebaNet", _NASNET, "4", 3),
        _cell("ENAS", _NASNET, "4", 4),
        _cell("DARTS", _DARTS, "2.5", 3),
        _cell("SNAS", _DARTS, "2.5", 3),
    ),
}

WIDER = Rule(
    claim="the published normal cells are wider than random wirings of their type",
    null="every node draws its two predecessors uniformly",
    minimum=3,
    unit="of five cells with p < .05 after Holm",
    family=5,
)
WIDER_REDUCTION = Rule(
    claim="the published reduction cells are wider than random wirings of their type",
    null=WIDER.null,
    minimum=WIDER.minimum,
    unit=WIDER.unit,
    family=WIDER.family,
)


def input_edges(node: int, *, repeats: bool) -> dict[int, Fraction]:
    """P(a node draws 0, 1 or 2 of the cell's two inputs): binomial or hypergeometric."""
    known = 2 + node
    if repeats:
        share = Fraction(2, known)
        return {k: comb(2, k) * share**k * (1 - share) ** (2 - k) for k in range(3)}
    return {k: Fraction(comb(2, k) * comb(node, 2 - k), comb(known, 2)) for k in range(3)}


def width_distribution(kind: CellType) -> Distribution:
    """Of the width in units of c: the nodes' shares of input edges are independent."""
    found: Distribution = {Fraction(0): Fraction(1)}
    for node in range(kind.nodes):
        grown: dict[Fraction, Fraction] = defaultdict(Fraction)
        for (width, p), (edges, q) in product(
            found.items(), input_edges(node, repeats=kind.repeats).items()
        ):
            grown[width + Fraction(edges, 2)] += p * q
        found = grown
    return {width: p for width, p in found.items() if p}


def _draws(node: int, *, repeats: bool) -> Iterator[tuple[int, ...]]:
    return product(range(2 + node), repeat=2) if repeats else combinations(range(2 + node), 2)


def depth_distribution(kind: CellType) -> Distribution:
    """Of the edges on the longest path; the concatenation counts as one. All wirings, counted."""
    counts = {(0, 0): 1}
    for node in range(kind.nodes):
        grown: dict[tuple[int, ...], int] = defaultdict(int)
        for (depths, count), pair in product(
            counts.items(), list(_draws(node, repeats=kind.repeats))
        ):
            grown[(*depths, 1 + max(depths[source] for source in pair))] += count
        counts = grown  # type: ignore[assignment]
    total = sum(counts.values())
    found: dict[Fraction, Fraction] = defaultdict(Fraction)
    for depths, count in counts.items():
        found[Fraction(1 + max(depths))] += Fraction(count, total)
    return found


def mean(distribution: Distribution) -> Fraction:
    """The expected value."""
    return sum((value * p for value, p in distribution.items()), Fraction(0))


def at_least(distribution: Distribution, value: Fraction | int) -> float:
    """P(X >= value)."""
    return float(sum(p for at, p in distribution.items() if at >= value))


def at_most(distribution: Distribution, value: Fraction | int) -> float:
    """P(X <= value)."""
    return float(sum(p for at, p in distribution.items() if at <= value))


def cell_rows(kind: str) -> list[Row]:
    """Every cell of a kind against its null; ``adjusted`` by Holm over the kind's widths."""
    rows: list[Row] = []
    for cell in CELLS[kind]:
        widths, depths = width_distribution(cell.type), depth_distribution(cell.type)
        rows.append(
            {
                "kind": kind,
                "cell": cell.name,
                "width": float(cell.width),
                "width_null": float(mean(widths)),
                "p_width": at_least(widths, cell.width),
                "depth": cell.depth,
                "depth_null": float(mean(depths)),
                "p_depth": at_most(depths, cell.depth),
            }
        )
    adjusted = holm([row["p_width"] for row in rows]).tolist()
    return [{**row, "adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def judge(rule: Rule, rows: list[Row]) -> Verdict:
    """Enough cells: holds; some: in part; none: cannot be said, as no test shows an absence."""
    passed = [row["cell"] for row in rows if row["adjusted"] < ALPHA]
    held: Holds = "cannot be said"
    if passed:
        held = "holds" if len(passed) >= rule.minimum else "holds in part"
    chi2, p = stats.combine_pvalues([row["p_width"] for row in rows], method="fisher")
    evidence = (
        f"{len(passed)} {rule.unit} ({', '.join(passed) or 'none'}); least {rule.minimum:g}; "
        f"null: {rule.null}; footnote, as if the cells were drawn at random from algorithms: "
        f"Fisher's chi2 = {chi2:.2f}, {2 * len(rows)} df, p = {p:.2g}"
    )
    return Verdict(
        rule.claim,
        held,
        evidence,
        p=float(p),
        n=len(rows),
        null=rule.null,
        effect=float(len(passed)),
        minimum=rule.minimum,
    )


def _table(kind: str, rows: list[Row]) -> Table:
    names = ("cell", "width", "width_null", "p_width", "adjusted", "depth", "depth_null", "p_depth")
    return Table(
        f"{kind} cells; width in units of c; the null draws two predecessors a node uniformly",
        [
            *("cell", "width", "null mean", "P(>= width)", "by Holm"),
            *("depth", "null mean", "P(<= depth)"),
        ],
        [[row[name] for name in names] for row in rows],
    )


def measure(run: StudyRun) -> Findings:
    """Exact; nothing is drawn and nothing trained. The contrast with good cells is a table's."""
    rows = {kind: cell_rows(kind) for kind in CELLS}
    names = {"DARTS, SNAS": _DARTS, "NASNet, AmoebaNet, ENAS": _NASNET}
    nulls = {
        name: {f"{float(width):g}": float(p) for width, p in sorted(found.items())}
        for name, found in ((name, width_distribution(kind)) for name, kind in names.items())
    }
    marked = {
        name: {cell.name: float(cell.width) for cell in CELLS["normal"] if cell.type == kind}
        for name, kind in names.items()
    }
    asked = partial(table_mark, run)
    live = run.part("live-shares", lambda: live_shares(truth_of(run).table), asked)
    edges, groups = edge_rows(distinct()), group_rows()
    return Findings(
        tables=[
            *(_table(kind, found) for kind, found in rows.items()),
            *tables(edges, groups, live),
        ],
        verdicts=[
            judge(WIDER, rows["normal"]),
            judge(WIDER_REDUCTION, rows["reduction"]),
            judge_dropped(edges, groups),
        ],
        numbers={"nulls": nulls, "marked": marked},
        rows=[*(row for found in rows.values() for row in found), *edges, *groups],
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The null of the width with the normal cells marked."""
    title = "Width of random wirings; the published normal cells marked"
    figure = level_bars(numbers["nulls"], numbers["marked"], title, "width in c", "probability")
    return {"published_topology": figure}


STUDY = Study(
    name="published-topology",
    title="width, depth and empty edges of published cells against exact nulls",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(WIDER, WIDER_REDUCTION, DROPPED),
)
