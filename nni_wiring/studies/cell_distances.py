"""Distances between cells of NAS-Bench-201 by which hidden states are held against graphs (S4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.topology import live_mask, topology

Array = NDArray[np.float64]
Cells = NDArray[np.int64]
#: Of n cells (n, edges): (n, n), symmetric, 0 on the diagonal.
Distance = Callable[[Cells], Array]

_NONE = OPERATIONS.index("none")
_SWAP = [
    NB201.edge_index(e) for e in ("0-2", "0-1", "1-2", "0-3", "2-3", "1-3")
]  # edges in the order 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 after nodes 1 and 2 have changed places
_EDGES = [NB201.edge_index(e) for e in ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")]
_INNER = NB201.edge_index("1-2")
_WALKS = ((0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3))


def live_cells(cells: Cells) -> Cells:
    """The cells with none on every dead edge: equal for cells of equal live graphs."""
    return np.where(live_mask(cells), cells, _NONE)


def hamming(cells: Cells) -> Array:
    """Number of edges with different operations."""
    return (cells[:, None] != cells[None]).sum(axis=2).astype(float)


def live_hamming(cells: Cells) -> Array:
    """The same after dead edges became none."""
    return hamming(live_cells(cells))


def edit(cells: Cells) -> Array:
    """Fewest edges to insert, delete or relabel between live graphs; nodes 1 and 2 may change
    places, which turns 1-2 around: an edge of either must then be deleted and inserted.
    """
    live = live_cells(cells)
    straight = hamming(live)
    swapped = live.copy()
    swapped[:, _EDGES] = live[:, _SWAP]
    outer = [edge for edge in _EDGES if edge != _INNER]
    turned = (live[:, None, outer] != swapped[None, :, outer]).sum(axis=2).astype(float)
    inner = (live[:, _INNER] != _NONE).astype(float)
    return np.minimum(straight, turned + inner[:, None] + inner[None])


def paths(cells: Cells) -> Array:
    """1 - Jaccard of the sets of live paths, each the sequence of its operations."""
    return _jaccard([frozenset(_paths(cell)) for cell in live_cells(cells).tolist()])


def _paths(cell: list[int]) -> Iterable[tuple[int, ...]]:
    for nodes in _WALKS:
        steps = zip(nodes, nodes[1:], strict=False)
        path = tuple(cell[NB201.edge_index(f"{source}-{target}")] for source, target in steps)
        if _NONE not in path:
            yield path


def _jaccard(sets: list[frozenset[tuple[int, ...]]]) -> Array:
    names = sorted(set().union(*sets))
    member = np.array([[name in one for name in names] for one in sets], dtype=float)
    member = member.reshape(len(sets), len(names))
    both = member @ member.T
    either = member.sum(axis=1)[:, None] + member.sum(axis=1)[None] - both
    return 1 - np.divide(both, either, out=np.ones_like(both), where=either > 0)


def weisfeiler_lehman(cells: Cells, iterations: int = 2) -> Array:
    """1 - normalised Weisfeiler-Lehman subtree kernel of the live graphs, edges labelled."""
    histograms = [_labels(cell, iterations) for cell in live_cells(cells).tolist()]
    names = {
        name: place for place, name in enumerate(dict.fromkeys(n for h in histograms for n in h))
    }
    counts = np.zeros((len(cells), len(names)))
    for row, histogram in enumerate(histograms):
        for name, count in histogram.items():
            counts[row, names[name]] = count
    counts /= np.linalg.norm(counts, axis=1, keepdims=True)
    found = 1 - counts @ counts.T
    np.fill_diagonal(found, 0)
    return found


def _labels(cell: list[int], iterations: int) -> Counter[Hashable]:
    """Of the input, the output and the live intermediate nodes, over all iterations."""
    edges = [(*NB201.edges[e], cell[e]) for e in range(len(cell)) if cell[e] != _NONE]
    alive = {0, NB201.nodes - 1, *(node for edge in edges for node in edge[:2])}
    label: dict[int, Hashable] = {
        node: {0: "input", NB201.nodes - 1: "output"}.get(node, "node") for node in alive
    }
    found: Counter[Hashable] = Counter(label.values())
    for _ in range(iterations):
        told: dict[int, list[tuple[str, int, Hashable]]] = {node: [] for node in alive}
        for source, target, operation in edges:
            told[target].append(("from", operation, label[source]))
            told[source].append(("to", operation, label[target]))
        label = {node: (label[node], tuple(sorted(told[node], key=repr))) for node in alive}
        found.update(label.values())
    return found


def _figure(name: str) -> Distance:
    def distance(cells: Cells) -> Array:
        values = np.asarray(getattr(topology(cells), name), dtype=float)
        return np.abs(values[:, None] - values[None])

    return distance


#: S4's structural metrics first; the figures of topology after them.
DISTANCES: dict[str, Distance] = {
    "Hamming": hamming,
    "Hamming, live edges": live_hamming,
    "graph edit": edit,
    "Weisfeiler-Lehman": weisfeiler_lehman,
    "paths": paths,
    "live edges": _figure("live_edges"),
    "width": _figure("width"),
    "depth": _figure("depth"),
    "conv depth": _figure("conv_depth"),
}
STRUCTURAL = ("Hamming", "Hamming, live edges", "Weisfeiler-Lehman")
