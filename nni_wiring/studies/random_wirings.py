"""Random wirings of DARTS-type cells: S3's own, and random graphs as nulls (RandWire's three).

A cell has two inputs, states 0 and 1, and intermediate nodes, states 2, 3, ..; every node has two
in-edges from earlier states, and the output concatenates the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import networkx as nx
import numpy as np

INPUTS = 2

#: The two sources of every intermediate node, by state.
Sources = tuple[tuple[int, int], ...]


class RandomConn(NamedTuple):
    """The normal and the reduction cell of one draw of S3's."""

    normal: Sources
    reduce: Sources


def width(sources: Sources) -> Fraction:
    """In units of c: the sum over nodes of the share of in-edges that come from an input, as in
    :mod:`nni_wiring.studies.published_topology`.
    """
    return sum((Fraction(sum(s < INPUTS for s in pair), len(pair)) for pair in sources), Fraction())


def depth(sources: Sources) -> int:
    """Edges on the longest path from an input to the output; the concatenation is one."""
    depths = [0] * INPUTS
    for pair in sources:
        depths.append(1 + max(depths[source] for source in pair))
    return 1 + max(depths)


def random_conn(nodes: int, seed: int) -> RandomConn:
    """S3's random connections: each edge's source is uniform over the states so far, with
    replacement, so that both edges of a node may have the same.

    In the authors' order of draws (theirs: np.random.seed(seed), then one choice an edge, normal
    and reduction cell in turn), so that seeds 1 to 10 are their CONN1 to CONN10. A draw depends on
    the number of nodes alone: their DARTS and SNAS variants share ten wirings, and their NASNet,
    AmoebaNet and ENAS variants ten others.
    """
    draws = np.random.RandomState(seed)
    edges = [
        (int(draws.choice(INPUTS + node)), int(draws.choice(INPUTS + node)))
        for node in range(nodes)
        for _ in range(2)
    ]
    normal, reduce = zip(*edges, strict=True)
    return RandomConn(_in_pairs(normal), _in_pairs(reduce))


def erdos_renyi(nodes: int, seed: int, p: float | None = None) -> Sources:
    """ER(p): every two states are joined with probability p.

    Args:
        p: None for the p whose graphs have two edges a node on average, 4 / (nodes + 3).
    """
    p = 4 / (nodes + 3) if p is None else p
    return two_a_node(nx.gnp_random_graph(INPUTS + nodes, p, seed=seed), seed)


def watts_strogatz(nodes: int, seed: int, k: int = 4, p: float = 0.75) -> Sources:
    """WS(k, p): a ring of all states, each joined to its k nearest, each edge rewired with
    probability p. The defaults are RandWire's best.
    """
    return two_a_node(nx.watts_strogatz_graph(INPUTS + nodes, k, p, seed=seed), seed)


def barabasi_albert(nodes: int, seed: int) -> Sources:
    """BA(2): every node in turn joins two earlier states, in proportion to their degrees; the two
    inputs start with degree 1 each.
    """
    start = nx.path_graph(INPUTS)
    return two_a_node(
        nx.barabasi_albert_graph(INPUTS + nodes, 2, seed=seed, initial_graph=start), seed
    )


def two_a_node(graph: nx.Graph, seed: int) -> Sources:
    """The wiring of a graph on all states: edges point from the smaller state to the larger
    (RandWire), and those between the inputs go. So that wirings differ from published ones in
    where edges are and not in how many [ours], a node with more than two predecessors keeps two,
    drawn uniformly; one with fewer is joined to inputs that it lacks, drawn uniformly.
    """
    draws = np.random.default_rng(seed)
    found = []
    for node in range(INPUTS, graph.number_of_nodes()):
        known = sorted(source for source in graph[node] if source < node)
        if len(known) > 2:
            known = draws.choice(known, 2, replace=False).tolist()
        lacking = [source for source in range(INPUTS) if source not in known]
        missing = max(2 - len(known), 0)
        known += draws.choice(lacking, missing, replace=False).tolist() if missing else []
        first, second = sorted(known)
        found.append((first, second))
    return tuple(found)


#: By name: (nodes, seed) -> the wiring. "conn" is S3's own, of a normal cell.
GENERATORS: dict[str, Callable[[int, int], Sources]] = {
    "conn": lambda nodes, seed: random_conn(nodes, seed).normal,
    "er": erdos_renyi,
    "ws": watts_strogatz,
    "ba": barabasi_albert,
}


def _in_pairs(sources: tuple[int, ...]) -> Sources:
    return tuple(zip(sources[::2], sources[1::2], strict=True))
