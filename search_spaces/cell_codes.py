"""The 15,625 cells of NAS-Bench-201: official arch strings, codes and probabilities (no torch)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.errors import SpaceError
from search_spaces.graph import NB201, OPERATIONS

ARCH_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
_EDGES = len(NB201.edges)
_BASE = len(OPERATIONS)
_PLACE_VALUES = _BASE ** np.arange(_EDGES - 1, -1, -1)
_SHOWN_CHARACTERS = 80


def _shown(text: str) -> str:
    """The text as an error message quotes it: one line, not too long."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")


def _malformed(arch: object, problem: str, allowed: str = f"expected {ARCH_FORM}") -> SpaceError:
    return SpaceError(f"arch {_shown(str(arch))}: {problem}; {allowed}")


def parse_arch(arch: str) -> tuple[int, ...]:
    """Read an official arch string: the operation index of each of the six edges, in edge order.

    Raises SpaceError (one line: the string, what is wrong, what is allowed) for anything but
    ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`` with operations of NAS-Bench-201.
    """
    if not isinstance(arch, str) or not arch.strip():
        raise _malformed(arch, "not an arch string")
    nodes = arch.strip().split("+")
    if len(nodes) != NB201.nodes - 1:
        raise _malformed(arch, f"{len(nodes)} node(s) where {NB201.nodes - 1} belong")
    indices: list[int] = []
    for target, node in enumerate(nodes, start=1):
        indices += _parse_node(arch, node, target)
    return tuple(indices)


def _parse_node(arch: str, node: str, target: int) -> list[int]:
    """Operation indices of the edges into ``target``, whose part of the arch string is ``node``."""
    terms = node.split("|")
    if len(terms) < 3 or terms[0] or terms[-1]:
        raise _malformed(arch, f"node {target} is not written between bars")
    terms = terms[1:-1]
    if len(terms) != target:
        raise _malformed(arch, f"node {target} has {len(terms)} edge(s) and needs {target}")
    indices = []
    for source, term in enumerate(terms):
        name, tilde, written = term.rpartition("~")
        edge = f"edge {source}-{target}"
        if not tilde or written != str(source):
            problem = f"{_shown(term)} stands where {edge} belongs"
            raise _malformed(arch, problem, f"expected <operation>~{source}")
        if name not in OPERATIONS:
            problem = f"operation {_shown(name)} on {edge} is not known"
            raise _malformed(arch, problem, f"allowed: {', '.join(OPERATIONS)}")
        indices.append(OPERATIONS.index(name))
    return indices


def format_arch(indices: Iterable[int]) -> str:
    """Write the official arch string of six operation indices in edge order.

    Raises SpaceError if they are not six integers of 0..4.
    """
    digits = check_ops([*indices], _EDGES, _BASE)[0]
    nodes = []
    for target in range(1, NB201.nodes):
        terms = [f"{OPERATIONS[digits[e]]}~{NB201.edges[e][0]}" for e in NB201.edges_into(target)]
        nodes.append(f"|{'|'.join(terms)}|")
    return "+".join(nodes)


def check_ops(ops: ArrayLike, edges: int, operations: int) -> NDArray[np.integer]:
    """Return ``ops`` as an integer array (n, edges); SpaceError if shape, type or range is wrong.

    A single cell (edges,) counts as n = 1.
    """
    array = np.atleast_2d(np.asarray(ops))
    if array.ndim != 2 or array.shape[1] != edges:
        raise SpaceError(
            f"cells: expected operation indices of shape (n, {edges}), got {np.shape(ops)}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise SpaceError(f"cells: operation indices must be integers, got {array.dtype}")
    if array.size and (array.min() < 0 or array.max() >= operations):
        raise SpaceError(
            f"cells: operation indices must lie in 0..{operations - 1}, "
            f"got {array.min()}..{array.max()}"
        )
    return array


@lru_cache(maxsize=1)
def all_cells() -> NDArray[np.uint8]:
    """All cells: (15625, 6) uint8, read-only; row = code, the last edge varies fastest."""
    cells = np.indices((_BASE,) * _EDGES, dtype=np.uint8).reshape(_EDGES, -1).T.copy()
    cells.flags.writeable = False
    return cells


def cell_code(ops: ArrayLike) -> NDArray[np.int64]:
    """Row in :func:`all_cells`: sum of ops[e] * 5**(5-e).

    ops (..., 6) -> (...) int64; SpaceError if an index is out of range.
    """
    array = np.asarray(ops)
    if array.ndim == 0 or array.shape[-1] != _EDGES:
        raise SpaceError(
            f"cells: expected operation indices of shape (..., {_EDGES}), got {array.shape}"
        )
    check_ops(array.reshape(-1, _EDGES), _EDGES, _BASE)
    return array.astype(np.int64) @ _PLACE_VALUES


def cell_probabilities(p: ArrayLike) -> NDArray[np.float64]:
    """Probability of every cell when each edge draws its operation on its own.

    p: (6, 5), one row an edge, in edge and operation order. Returns (15625,) float64 in code order,
    so that the expectation of any per-cell quantity is a dot product. Rows are taken as they are,
    not normalised.
    """
    rows = np.asarray(p, dtype=np.float64)
    if rows.shape != (_EDGES, _BASE):
        raise SpaceError(f"probabilities: expected shape ({_EDGES}, {_BASE}), got {rows.shape}")
    return reduce(np.multiply.outer, rows).reshape(-1)
