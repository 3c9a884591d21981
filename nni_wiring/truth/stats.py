"""Counts over all cells of a benchmark, and the best cell of every metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nni_wiring.truth.table import TruthTable
from search_spaces.cell_codec import CellCodec
from search_spaces.cell_codes import NASBENCH201
from search_spaces.uniqueness import unique_exact, unique_published


def stats(table: TruthTable) -> dict[str, Any]:
    """Topology counts, numbers of classes and the best cells, ready for JSON.

    Counts are keyed by the figure as text; ``width_depth`` by "width,depth", width in units of
    the channels. The numbers of classes are left out where no rule is known. ``best`` is None where
    the table has no such metric.
    """
    benchmark = table.benchmark
    figures = benchmark.topology
    cells = benchmark.codec.cells
    return {
        "cells": benchmark.cells,
        "disconnected": int((~figures.connected).sum()),
        "depth": _counts(figures.depth),
        "conv_depth": _counts(figures.conv_depth),
        "live_paths": _counts(figures.live_paths),
        "live_edges": _counts(figures.live_edges),
        "non_none_edges": _counts(cells.shape[1] - figures.none_edges),
        "width_depth": _pair_counts(figures.width, figures.depth),
        **_classes(benchmark.codec),
        "best": {
            dataset: {split: _best(table, dataset, split) for split in benchmark.splits}
            for dataset in benchmark.dataset_names
        },
    }


def _classes(codec: CellCodec) -> dict[str, int]:
    """Numbers of different cells; they are known for NAS-Bench-201's cells and parts of them."""
    if not NASBENCH201.holds(codec.graph, codec.operations):
        return {}
    cells = np.array(NASBENCH201.indices(codec.operations))[codec.cells]
    return {"unique_published": unique_published(cells), "unique_exact": unique_exact(cells)}


def _best(table: TruthTable, dataset: str, split: str) -> dict[str, Any] | None:
    if not table.has(dataset, split):
        return None
    best = table.optimum(dataset, split)
    return {"accuracy": best.accuracy, "index": best.index, "arch": best.arch}


def _counts(figure: ArrayLike) -> dict[str, int]:
    values, counts = np.unique(np.asarray(figure), return_counts=True)
    return {str(int(value)): int(count) for value, count in zip(values, counts, strict=True)}


def _pair_counts(width: ArrayLike, depth: ArrayLike) -> dict[str, int]:
    pairs = np.stack([np.asarray(width), np.asarray(depth)], axis=1)
    rows, counts = np.unique(pairs, axis=0, return_counts=True)
    return {f"{w:g},{d:g}": int(count) for (w, d), count in zip(rows, counts, strict=True)}
