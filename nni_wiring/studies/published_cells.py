"""Final cells of differentiable searches on NAS-Bench-201, and the edges that they leave empty.

Null: a cell has the none edges that it has, but any of its six edges is as likely to be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from nni_wiring.studies.frame import Row, Table
from nni_wiring.studies.statistics import Rule, Verdict, holm
from nni_wiring.studies.statistics.verdict import ALPHA, Holds
from nni_wiring.truth import TruthTable
from search_spaces.cell_graph import NB201, format_arch, parse_arch
from search_spaces.topology import live_mask

#: Where the cells are listed.
SOURCE = "AutoDL-Projects, docs/NATS-Bench.md, final discovered architectures"
#: The edge that S1's P2 says is dropped, or comes last.
INTERMEDIATE = "1-2"
_BEST = 0.01

DROPPED = Rule(
    claim="of the six edges of published final cells the intermediate one alone is empty more often"
    " than by chance (P2)",
    null="any of a cell's six edges is as likely to be one of its empty ones",
    minimum=1,
    unit="edge with p < .05 after Holm, and it is 1-2",
    family=6,
)


class FinalCell(NamedTuple):
    """A listed cell: the search's data set, method and order or version, and the arch."""

    dataset: str
    method: str
    variant: str
    arch: str


#: Operations of the edges in order (0 none, 1 skip, 2 conv1x1, 3 conv3x3, 4 pool), one a search.
_LISTED = {
    ("cifar10", "DARTS", "first order"): "111111 111111 111111",
    ("cifar10", "DARTS", "second order"): "111111 111111 111111",
    ("cifar10", "GDAS", ""): "330233 330333 431322",
    ("cifar100", "DARTS", "first order"): "010120 010120 110123",
    ("cifar100", "DARTS", "second order"): "010121 130100 120310",
    ("cifar100", "GDAS", ""): "320433 420342 430322",
    ("imagenet16", "DARTS", "first order"): "010103 010103 010102",
    ("imagenet16", "DARTS", "second order"): "010101",
    ("imagenet16", "GDAS", ""): "000300 000300 000300",
}
FINAL_CELLS = tuple(
    FinalCell(*whose, format_arch([int(digit) for digit in digits]))
    for whose, text in _LISTED.items()
    for digits in text.split()
)


def distinct(cells: Iterable[FinalCell] = FINAL_CELLS) -> list[str]:
    """Each arch once, in order."""
    return list(dict.fromkeys(cell.arch for cell in cells))


def empty_edges(archs: Sequence[str]) -> np.ndarray:
    """(cells, edges) bool: which edges are none."""
    return np.array([parse_arch(arch) for arch in archs]) == 0


def poisson_binomial(shares: Iterable[Fraction]) -> list[Fraction]:
    """P(0, 1, .. successes) of independent trials with these probabilities; exact."""
    found = [Fraction(1)]
    for share in shares:
        grown = [Fraction(0), *(p * share for p in found)]
        found = [up + p * (1 - share) for up, p in zip(grown, [*found, Fraction(0)], strict=True)]
    return found


def _at_least(count: int, shares: Sequence[Fraction]) -> float:
    return float(sum(poisson_binomial(shares)[count:]))


def edge_rows(archs: Sequence[str]) -> list[Row]:
    """Per edge: cells that leave it empty, the number expected, exact p as if cells were
    independent, and p by Holm over the edges.
    """
    empty = empty_edges(archs)
    shares = [Fraction(int(k), empty.shape[1]) for k in empty.sum(axis=1)]
    rows: list[Row] = []
    for place, edge in enumerate(NB201.edge_names):
        count = int(empty[:, place].sum())
        p = _at_least(count, shares)
        rows.append({"edge": edge, "empty": count, "expected": float(sum(shares)), "p": p})
    adjusted = holm([row["p"] for row in rows]).tolist()
    return [{**row, "adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def group_rows() -> list[Row]:
    """Per method and data set: its distinct cells, and how many leave the intermediate edge empty
    against what their own numbers of empty edges lead to expect.
    """
    rows: list[Row] = []
    place = NB201.edge_index(INTERMEDIATE)
    for dataset, method in dict.fromkeys((cell.dataset, cell.method) for cell in FINAL_CELLS):
        own = [cell for cell in FINAL_CELLS if (cell.dataset, cell.method) == (dataset, method)]
        empty = empty_edges(distinct(own))
        rows.append(
            {
                "dataset": dataset,
                "method": method,
                "searches": len(own),
                "cells": len(empty),
                "empty": int(empty[:, place].sum()),
                "expected": float(empty.mean(axis=1).sum()),
            }
        )
    return rows


def groups_p(rows: Sequence[Row]) -> tuple[int, float]:
    """The number of groups that leave the edge empty in most of their cells, and p as if the cells
    of a group were one cell [ours]: the other extreme to independent cells.
    """
    most = sum(row["empty"] >= ceil((row["cells"] + 1) / 2) for row in rows)
    shares = [Fraction(row["expected"] / row["cells"]) for row in rows]
    return most, _at_least(most, shares)


def live_shares(table: TruthTable) -> list[Row]:
    """Share of cells whose intermediate edge is live, percent: the best 1 % and all."""
    live = live_mask(table.operations)[:, NB201.edge_index(INTERMEDIATE)]
    best = round(_BEST * len(live))
    rows: list[Row] = [{"dataset": "all cells", "share": 100 * float(live.mean())}]
    for dataset in table.benchmark.dataset_names:
        order = np.argsort(-table.values(dataset, "valid"), kind="stable")[:best]
        rows.append({"dataset": dataset, "share": 100 * float(live[order].mean())})
    return rows


def judge_dropped(rows: Sequence[Row], groups: Sequence[Row]) -> Verdict:
    """1-2 and no other edge: holds; others too: in part; not 1-2: cannot be said."""
    passed = [row["edge"] for row in rows if row["adjusted"] < ALPHA]
    held: Holds = "cannot be said"
    if INTERMEDIATE in passed:
        held = "holds" if passed == [INTERMEDIATE] else "holds in part"
    own = next(row for row in rows if row["edge"] == INTERMEDIATE)
    cells = sum(row["cells"] for row in groups)
    most, p = groups_p(groups)
    evidence = "; ".join(
        [
            f"{INTERMEDIATE} is none in {own['empty']} of {cells} distinct cells, "
            f"{own['expected']:.1f} expected, exact p = {own['p']:.1g} as if they were independent",
            f"edges with p < .05 after Holm: {', '.join(passed) or 'none'}",
            f"in most cells of {most} of {len(groups)} groups of one method and data set, "
            f"p = {p:.2g} as if a group were one cell",
            f"null: {DROPPED.null}",
        ]
    )
    return Verdict(
        DROPPED.claim, held, evidence, own["p"], own["adjusted"], cells, DROPPED.null,
        effect=own["empty"] - own["expected"], minimum=DROPPED.minimum,
    )  # fmt: skip


def tables(edges: Sequence[Row], groups: Sequence[Row], live: Sequence[Row]) -> list[Table]:
    """The edges, the groups, and the contrast with what is good."""

    def lines(rows: Sequence[Row]) -> list[list[Any]]:
        return [[*row.values()] for row in rows]

    return [
        Table(
            f"NAS-Bench-201: {len(distinct())} distinct cells of {len(FINAL_CELLS)} searches "
            f"({SOURCE}); edges that are none; p: exact, as if cells were independent",
            ["edge", "none in", "expected", "p", "by Holm"],
            lines(edges),
        ),
        Table(
            f"the same by method and data set: distinct cells in which {INTERMEDIATE} is none",
            ["data", "method", "searches", "distinct cells", "none in", "expected"],
            lines(groups),
        ),
        Table(
            f"cells of which {INTERMEDIATE} is live, percent; best 1 % by validation accuracy",
            ["best 1 % of", "live, %"],
            lines(live),
        ),
    ]
