"""The 15,625 cells of NAS-Bench-201: official arch strings, codes and probabilities (no torch)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.cell_codec import CODECS, CellCodec, check_ops, shown
from search_spaces.graph import NB201, OPERATIONS

ARCH_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


class BarCodec(CellCodec):
    """Cells spelt as the official arch strings: one group per node, one ``op~source`` per edge."""

    def parse(self, arch: str) -> tuple[int, ...]:
        """Read an arch string; see :func:`parse_arch`."""
        if not isinstance(arch, str) or not arch.strip():
            raise self.malformed(arch, "not an arch string")
        nodes = arch.strip().split("+")
        if len(nodes) != self.graph.nodes - 1:
            raise self.malformed(arch, f"{len(nodes)} node(s) where {self.graph.nodes - 1} belong")
        indices: list[int] = []
        for target, node in enumerate(nodes, start=1):
            indices += self._parse_node(arch, node, target)
        return tuple(indices)

    def _parse_node(self, arch: str, node: str, target: int) -> list[int]:
        """Operation indices of the edges into ``target``, whose part of the string is ``node``."""
        terms = node.split("|")
        if len(terms) < 3 or terms[0] or terms[-1]:
            raise self.malformed(arch, f"node {target} is not written between bars")
        terms = terms[1:-1]
        if len(terms) != target:
            problem = f"node {target} has {len(terms)} edge(s) and needs {target}"
            raise self.malformed(arch, problem)
        indices = []
        for source, term in enumerate(terms):
            name, tilde, written = term.rpartition("~")
            edge = f"edge {source}-{target}"
            if not tilde or written != str(source):
                problem = f"{shown(term)} stands where {edge} belongs"
                raise self.malformed(arch, problem, f"expected <operation>~{source}")
            if name not in self.operations:
                problem = f"operation {shown(name)} on {edge} is not known"
                raise self.malformed(arch, problem, f"allowed: {', '.join(self.operations)}")
            indices.append(self.operations.index(name))
        return indices

    def spell(self, ops: Iterable[int]) -> str:
        """Write an arch string; see :func:`format_arch`."""
        digits = check_ops([*ops], self.edges, len(self.operations))[0]
        nodes = []
        for target in range(1, self.graph.nodes):
            terms = [
                f"{self.operations[digits[e]]}~{self.graph.edges[e][0]}"
                for e in self.graph.edges_into(target)
            ]
            nodes.append(f"|{'|'.join(terms)}|")
        return "+".join(nodes)

    @cached_property
    def archs(self) -> list[str]:
        """All arch strings by code; a template makes them far faster than one call a cell."""
        template = self.spell([0] * self.edges).replace(self.operations[0], "{}")
        return [template.format(*names) for names in product(self.operations, repeat=self.edges)]


NASBENCH201 = CODECS.register(BarCodec("nasbench201", NB201, OPERATIONS, ARCH_FORM))


def parse_arch(arch: str) -> tuple[int, ...]:
    """Read an official arch string: the operation index of each of the six edges, in edge order.

    Raises SpaceError (one line: the string, what is wrong, what is allowed) for anything but
    ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`` with operations of NAS-Bench-201.
    """
    return NASBENCH201.parse(arch)


def format_arch(indices: Iterable[int]) -> str:
    """Write the official arch string of six operation indices in edge order.

    Raises SpaceError if they are not six integers of 0..4.
    """
    return NASBENCH201.spell(indices)


def all_cells() -> NDArray[np.uint8]:
    """All cells: (15625, 6) uint8, read-only; row = code, the last edge varies fastest."""
    return NASBENCH201.cells


def cell_code(ops: ArrayLike) -> NDArray[np.int64]:
    """Row in :func:`all_cells`: sum of ops[e] * 5**(5-e).

    ops (..., 6) -> (...) int64; SpaceError if an index is out of range.
    """
    return NASBENCH201.code(ops)


def cell_probabilities(p: ArrayLike) -> NDArray[np.float64]:
    """Probability of every cell when each edge draws its operation on its own.

    p: (6, 5), one row per edge, in edge and operation order. Returns (15625,) float64 in code
    order, so that the expectation of any per-cell quantity is a dot product. Rows are taken as they
    are, not normalised.
    """
    return NASBENCH201.probabilities(p)
