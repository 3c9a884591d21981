"""What a built table of NAS-Bench-201's cells says beside NAS-Bench-201 (docs/benchmark.md).

python docs/results/clutter_facts.py [--benchmark clutter201] [--beside bundled]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from nni_wiring.studies.marginals import as_cube
from nni_wiring.studies.statistics import spearman
from nni_wiring.truth import TruthTable, load_table
from search_spaces.cell_codes import NASBENCH201
from search_spaces.topology import Topology, topology
from search_spaces.uniqueness import exact_class


def by_code(table: TruthTable, dataset: str, split: str, epochs: int | None = None) -> np.ndarray:
    """(cells,) accuracies, percent, in the order of codes."""
    return as_cube(table, table.values(dataset, split, epochs)).ravel()


def printed(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table of Markdown."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        shown = (f"{x:.2f}" if isinstance(x, float) else str(x) for x in row)
        print(f"| {' | '.join(shown)} |")


def mean_of_parts(table: TruthTable, epochs: int | None = None) -> np.ndarray:
    """(cells,) mean of the held-out parts of a built table's only data set, by code."""
    dataset = table.benchmark.dataset_names[0]
    return np.mean([by_code(table, dataset, part, epochs) for part in ("valid", "test")], axis=0)


def columns_of(table: TruthTable, beside: TruthTable) -> dict[str, np.ndarray]:
    """By title: accuracies in the order of codes, the built table's first."""
    names = [name for name in beside.benchmark.dataset_names if beside.has(name, "valid")]
    found = {table.benchmark.dataset_names[0]: mean_of_parts(table)}
    return found | {name: by_code(beside, name, "valid") for name in names}


def print_range(own: np.ndarray, chosen: np.ndarray) -> None:
    """Quantiles over connected classes and over all cells."""
    shares = [0, 0.25, 0.5, 0.75, 1]
    rows = [
        ["connected classes", *np.quantile(own[chosen], shares).tolist()],
        ["all cells", *np.quantile(own, shares).tolist()],
    ]
    names = ["cells", "lowest", "quarter", "median", "three quarters", "best"]
    printed("mean of valid and test, percent", names, rows)


def print_correlations(
    table: TruthTable, columns: Mapping[str, np.ndarray], chosen: np.ndarray
) -> None:
    """Of the built table's accuracies with all others and with its own shorter lengths."""
    own, *_ = columns.values()
    lengths = table.benchmark.datasets[0].protocol.epochs[:-1]
    others = {f"the same, {e} epochs": mean_of_parts(table, e) for e in lengths}
    others |= dict(list(columns.items())[1:])
    rows = [
        [name, _tau(own[chosen], values[chosen]), spearman(own[chosen], values[chosen])]
        for name, values in others.items()
    ]
    printed("over connected classes", ["with", "Kendall's tau-b", "Spearman"], rows)


def print_topology(columns: Mapping[str, np.ndarray], shape: Topology) -> None:
    """Mean percentiles by width, depth and conv depth, over connected cells."""
    live = shape.connected
    ranks = {name: _percentiles(values[live]) for name, values in columns.items()}
    figures = {"width, c": shape.width, "depth": shape.depth, "conv depth": shape.conv_depth}
    for title, figure in figures.items():
        rows = []
        for value in np.unique(figure[live]):
            where = figure[live] == value
            means = [float(percentiles[where].mean()) for percentiles in ranks.values()]
            rows.append([f"{value:g}", int(where.sum()), *means])
        printed(f"mean percentile by {title}", [title, "cells", *ranks], rows)


def print_best(columns: Mapping[str, np.ndarray]) -> None:
    """The best cell of each column, and its rank in all."""
    rows = []
    for name, values in columns.items():
        code = int(values.argmax())
        ranks = [int((other > other[code]).sum()) + 1 for other in columns.values()]
        rows.append([name, f"`{NASBENCH201.spell(NASBENCH201.cells[code].tolist())}`", *ranks])
    printed("the best cell of each, and its rank", ["best of", "cell", *columns], rows)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", default="clutter201")
    parser.add_argument("--beside", default="bundled")
    given = parser.parse_args()
    table, beside = load_table(given.benchmark), load_table(given.beside)
    columns, shape = columns_of(table, beside), topology(NASBENCH201.cells)
    _, first = np.unique(exact_class(NASBENCH201.cells), return_index=True)
    chosen = first[shape.connected[first]]  # one cell a class
    print_range(next(iter(columns.values())), chosen)
    print_correlations(table, columns, chosen)
    print_topology(columns, shape)
    print_best(columns)


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _percentiles(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return 100 * rankdata(values) / len(values)


if __name__ == "__main__":
    main()
