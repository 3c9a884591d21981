"""Classes of equal cells of NAS-Bench-201: the published and the exact ones (no torch)."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.cell_codes import all_cells, cell_code
from search_spaces.graph import NB201, OPERATIONS
from search_spaces.topology import live_mask

_NONE, _SKIP = OPERATIONS.index("none"), OPERATIONS.index("skip_connect")
_CONVS = [index for index, name in enumerate(OPERATIONS) if "conv" in name]
_OUTPUT = NB201.outputs[0]
_ZERO = "#"


def published_class(ops: ArrayLike) -> NDArray[np.int64]:
    """Class of each cell by the published rule: the smallest code among the cells of its class.

    The rule (Dong & Yang, ICLR 2020: the official API's unique string, aware of zeros) compares
    strings: an edge is '#' if its operation is none or its source is '#', a skip repeats its
    source's string, any other edge is '(source)@operation', and a node is its sorted in-edges
    joined by '+', '#' terms included. ops (..., 6) -> (...).
    """
    return _published_classes()[cell_code(ops)]


def exact_class(ops: ArrayLike) -> NDArray[np.int64]:
    """Class of each cell by what it computes: the smallest code among the cells of its class.

    Two cells are the same when their outputs are the same sum of terms: zero terms are dropped, a
    skip passes the terms of its source on, every convolution has weights of its own (using one
    twice is not using two), and only the names of convolutions of one kind may be exchanged.
    Pooling has no parameters. ops (..., 6) -> (...).
    """
    return _exact_classes()[cell_code(ops)]


def unique_published(ops: ArrayLike) -> int:
    """Number of different cells among ``ops`` (n, 6) by the published rule; 6466 in all."""
    return len(np.unique(published_class(ops)))


def unique_exact(ops: ArrayLike) -> int:
    """Number of different cells among ``ops`` (n, 6) by what they compute; 5260 in all."""
    return len(np.unique(exact_class(ops)))


def _published_string(cell: list[int]) -> str:
    strings = ["0"]
    for target in range(1, NB201.nodes):
        terms = []
        for edge in NB201.edges_into(target):
            source, op = strings[NB201.edges[edge][0]], cell[edge]
            if op == _NONE or source == _ZERO:
                terms.append(_ZERO)
            elif op == _SKIP:
                terms.append(source)
            else:
                terms.append(f"({source})@{OPERATIONS[op]}")
        strings.append("+".join(sorted(terms)))
    return strings[_OUTPUT]


def _smallest_codes(keys: NDArray) -> NDArray[np.int64]:
    """For each code the first code with the same key; read-only."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    classes = first[inverse].astype(np.int64)
    classes.flags.writeable = False
    return classes


@lru_cache(maxsize=1)
def _published_classes() -> NDArray[np.int64]:
    return _smallest_codes(np.array([_published_string(cell) for cell in all_cells().tolist()]))


@lru_cache(maxsize=1)
def _exact_classes() -> NDArray[np.int64]:
    """Classes from 64-bit fingerprints: the output's, smallest over all namings of convolutions.

    A value is a number modulo 2**64: a sum of terms is the wrapping sum of their numbers
    (order-free, and 2a is not a), zero is 0, and an operation's number is a mixing function of its
    input's number, its kind and, for a convolution, its name. Equal cells have the same live
    convolutions, so the minima over their namings are equal; that any two others collide has a
    chance of about 1e-8, and the tests compare with a symbolic form.
    """
    pruned = np.where(live_mask(all_cells()), all_cells(), _NONE).astype(np.intp)
    codes, inverse = np.unique(cell_code(pruned), return_inverse=True)
    cells = all_cells()[codes].astype(np.intp).T
    is_conv = np.isin(cells, _CONVS)
    count = is_conv.sum(axis=0)
    rank = np.where(is_conv, np.cumsum(is_conv, axis=0), 0)
    smallest = np.full(len(codes), np.iinfo(np.uint64).max, dtype=np.uint64)
    for convs in range(len(cells) + 1):
        rows = count == convs
        for names in permutations(range(1, convs + 1)):
            named = np.array((0, *names))[rank[:, rows]]
            smallest[rows] = np.minimum(smallest[rows], _fingerprint(cells[:, rows], named))
    return _smallest_codes(smallest[inverse])


def _fingerprint(cells: NDArray[np.intp], names: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Number of the output of each cell; cells and the names of its convolutions (6, n) -> (n,)."""
    salts = _mix((cells + len(OPERATIONS) * names).astype(np.uint64))
    values = [np.full(cells.shape[1], 0x9E3779B97F4A7C15, dtype=np.uint64)]
    for target in range(1, NB201.nodes):
        total = np.zeros_like(values[0])
        for edge in NB201.edges_into(target):
            source = values[NB201.edges[edge][0]]
            term = np.where(cells[edge] == _SKIP, source, _mix(source ^ salts[edge]))
            total += np.where(cells[edge] == _NONE, 0, term).astype(np.uint64)
        values.append(total)
    return values[_OUTPUT]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): scatters all bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
