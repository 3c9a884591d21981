"""Reading the text of a cell as the official static methods do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201

Nodes = list[tuple[tuple[str, int], ...]]


def str2lists(arch_str: str) -> Nodes:
    """(operation, source) pairs of every node after the input, from ``|op~0|+|op~0|op~1|+...``."""
    nodes = []
    for group in arch_str.split("+"):
        pairs = [edge.split("~") for edge in group.split("|") if edge]
        if any(len(pair) != 2 or not pair[1].isdecimal() for pair in pairs):
            raise BenchmarkError(f"{group!r:.80} in {arch_str!r:.200}: expected |op~source|...|")
        nodes.append(tuple((operation, int(source)) for operation, source in pairs))
    return nodes


def str2matrix(
    arch_str: str, search_space: Sequence[str] = NASBENCH201.operations
) -> NDArray[np.float64]:
    """(nodes, nodes) float64: row = target, column = source, value = the operation's index."""
    nodes = str2lists(arch_str)
    matrix = np.zeros((len(nodes) + 1, len(nodes) + 1))
    for target, pairs in enumerate(nodes, start=1):
        for operation, source in pairs:
            if operation not in search_space:
                allowed = ", ".join(search_space)
                raise BenchmarkError(f"unknown operation {operation!r:.40}; allowed: {allowed}")
            if source >= target:
                raise BenchmarkError(
                    f"edge {source}-{target} of {arch_str!r:.200} points backwards"
                )
            matrix[target, source] = list(search_space).index(operation)
    return matrix


def unique_text(arch_str: str) -> str:
    """A text that isomorphic cells share: nodes spelt out, sums sorted, skips and zeros removed."""
    known = ["0"]
    for pairs in str2lists(arch_str):
        terms = []
        for operation, source in pairs:
            if operation == "none" or known[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(known[source])
            else:
                terms.append(f"({known[source]})@{operation}")
        known.append("+".join(sorted(terms)))
    return known[-1]
