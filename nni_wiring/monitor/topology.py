"""Topology and truth of the derived cell, and their exact expectations under p(alpha) over all
15,625 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nni_wiring.supernet.edge_group import EdgeGroup
from search_spaces.cell_graph import (
    NB201,
    OPERATIONS,
    CellTopology,
    Wiring,
    all_topology,
    cell_probabilities,
)
from search_spaces.operations import canonical_operation


class ExpectedTopology(NamedTuple):
    """Exact expectations when every edge draws its operation on its own from p(alpha).

    width in units of c; depth and conv_depth in connections; disconnected: probability of a dead
    output.
    """

    width: float
    depth: float
    conv_depth: float
    live_edges: float
    disconnected: float


def official_columns(group: EdgeGroup) -> list[int] | None:
    """The NAS-Bench-201 operation index of every column of alpha; None if the group is not such a
    cell.
    """
    names = [canonical_operation(name) for name in group.operations]
    if group.graph != NB201 or not set(names) <= set(OPERATIONS):
        return None
    return [OPERATIONS.index(name) for name in names]


def official_probabilities(group: EdgeGroup, probabilities: np.ndarray) -> np.ndarray | None:
    """p(alpha) as (6, 5) in NAS-Bench-201's order of edges and operations; None if the group is not
    such a cell.
    """
    columns = official_columns(group)
    if columns is None:
        return None
    table = np.zeros((len(NB201.edges), len(OPERATIONS)))
    for column, operation in enumerate(columns):
        table[:, operation] += probabilities[:, column]
    return table / table.sum(axis=1, keepdims=True)


def expected_topology(p: np.ndarray) -> ExpectedTopology:
    """Exact expectations under p, (6, 5): dot products with the figures of all cells."""
    weights = cell_probabilities(p)
    figures = all_topology()
    return ExpectedTopology(
        width=float(weights @ figures.width),
        depth=float(weights @ figures.depth),
        conv_depth=float(weights @ figures.conv_depth),
        live_edges=float(weights @ figures.live_edges),
        disconnected=float(weights @ ~figures.connected),
    )


def derived_wiring(group: EdgeGroup, chosen: Sequence[int]) -> Wiring | None:
    """The cell that ``chosen`` (a column of alpha for every edge) stands for; None if not a
    NAS-Bench-201 cell.
    """
    columns = official_columns(group)
    if columns is None:
        return None
    return Wiring(NB201, tuple(OPERATIONS[columns[k]] for k in chosen))


def topology_record(wiring: Wiring) -> dict[str, float | int | bool]:
    """The topology figures of one cell as plain numbers, by name."""
    figures: CellTopology = wiring.topology()
    return dict(figures._asdict())
