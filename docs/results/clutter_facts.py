"""Write the facts of clutter201 beside NAS-Bench-201's into docs/clutter201.md.

python docs/results/clutter_facts.py            # from the table that ships and the bundled one
python docs/results/clutter_facts.py --check    # writes nothing; 1 where it would
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from study_tables import HERE, table_lines

from nni_wiring.studies.marginals import as_cube
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.statistics import spearman
from nni_wiring.truth import TruthTable, load_table
from search_spaces.cell_codes import NASBENCH201
from search_spaces.topology import Topology, topology
from search_spaces.uniqueness import exact_class


def by_code(table: TruthTable, dataset: str, split: str, epochs: int | None = None) -> np.ndarray:
    """(cells,) accuracies, percent, in the order of codes."""
    return as_cube(table, table.values(dataset, split, epochs)).ravel()


Facts = tuple[str, list[str], list[list[object]]]


def written(facts: Facts) -> str:
    """A table of Markdown with its title above it."""
    title, columns, rows = facts
    return "\n".join(table_lines({"title": title, "columns": columns, "rows": rows}))


def mean_of_parts(table: TruthTable, epochs: int | None = None) -> np.ndarray:
    """(cells,) mean of the held-out parts of a built table's only data set, by code."""
    dataset = table.benchmark.dataset_names[0]
    return np.mean([by_code(table, dataset, part, epochs) for part in ("valid", "test")], axis=0)


def columns_of(table: TruthTable, beside: TruthTable) -> dict[str, np.ndarray]:
    """By title: accuracies in the order of codes, the built table's first."""
    names = [name for name in beside.benchmark.dataset_names if beside.has(name, "valid")]
    found = {table.benchmark.dataset_names[0]: mean_of_parts(table)}
    return found | {name: by_code(beside, name, "valid") for name in names}


def ranges(own: np.ndarray, chosen: np.ndarray) -> Facts:
    """Quantiles over connected classes and over all cells."""
    shares = [0, 0.25, 0.5, 0.75, 1]
    rows: list[list[object]] = [
        ["connected classes", *np.quantile(own[chosen], shares).tolist()],
        ["all cells", *np.quantile(own, shares).tolist()],
    ]
    names = ["cells", "lowest", "quarter", "median", "three quarters", "best"]
    return "mean of valid and test, percent", names, rows


def noise(table: TruthTable, chosen: np.ndarray) -> Iterator[Facts]:
    """How far the seeds of one class lie apart, where the table has more than one."""
    seeds = table.metric("clutter", "valid").known_seeds()
    if len(seeds) < 2:
        return
    rows: list[list[object]] = []
    for part in ("valid", "test", "mean of both"):
        parts = ("valid", "test") if part.startswith("mean") else (part,)
        single = np.stack([_single(table, parts, seed)[chosen] for seed in seeds])
        taus = [_tau(a, b) for a, b in combinations(single, 2)]
        between = float(np.sqrt(single.var(axis=0, ddof=1).mean()))
        # the variance of the means has a share of the seeds' own
        cells = float(np.sqrt(single.mean(axis=0).var(ddof=1) - between**2 / len(seeds)))
        rows.append([part, float(np.mean(taus)), between, cells])
    columns = ["", "Kendall's tau-b of two seeds", "seeds' sd", "cells' sd"]
    yield f"seeds {', '.join(map(str, seeds))} over connected classes, points", columns, rows


def correlations(table: TruthTable, columns: Mapping[str, np.ndarray], chosen: np.ndarray) -> Facts:
    """Of the built table's accuracies with all others and with its own shorter lengths."""
    own, *_ = columns.values()
    lengths = table.benchmark.datasets[0].protocol.epochs[:-1]
    others = {f"the same, {e} epochs": mean_of_parts(table, e) for e in lengths}
    others |= dict(list(columns.items())[1:])
    rows: list[list[object]] = [
        [name, _tau(own[chosen], values[chosen]), spearman(own[chosen], values[chosen])]
        for name, values in others.items()
    ]
    return "over connected classes", ["with", "Kendall's tau-b", "Spearman"], rows


def by_topology(columns: Mapping[str, np.ndarray], shape: Topology) -> Iterator[Facts]:
    """Mean percentiles by width, depth and conv depth, over connected cells."""
    live = shape.connected
    ranks = {name: _percentiles(values[live]) for name, values in columns.items()}
    figures = {"width, c": shape.width, "depth": shape.depth, "conv depth": shape.conv_depth}
    for title, figure in figures.items():
        rows: list[list[object]] = []
        for value in np.unique(figure[live]):
            where = figure[live] == value
            means = [float(percentiles[where].mean()) for percentiles in ranks.values()]
            rows.append([f"{value:g}", int(where.sum()), *means])
        yield f"mean percentile by {title}", [title, "cells", *ranks], rows


def best(columns: Mapping[str, np.ndarray]) -> Facts:
    """The best cell of each column, and its rank in all."""
    rows: list[list[object]] = []
    for name, values in columns.items():
        code = int(values.argmax())
        ranks = [int((other > other[code]).sum()) + 1 for other in columns.values()]
        arch = NASBENCH201.spell(NASBENCH201.cells[code].tolist()).replace("|", "\\|")
        rows.append([name, f"`{arch}`", *ranks])
    return "the best cell of each, and its rank", ["best of", "cell", *columns], rows


def studied(name: str, **given: object) -> str:
    """A study's tables on clutter201."""
    found = study(name)
    with tempfile.TemporaryDirectory() as folder:
        options = found.options({"benchmark": "clutter201", **given})
        result = run_study(found, options, Path(folder) / "study")
    lines = [line for table in result["tables"] for line in table_lines(table)]
    lines += [f"- {v['claim']}: **{v['verdict']}** ({v['evidence']})" for v in result["verdicts"]]
    return "\n".join(lines)


def blocks() -> dict[str, str]:
    """By the name of its marks on the page."""
    table, beside = load_table("clutter201"), load_table("bundled")
    columns, shape = columns_of(table, beside), topology(NASBENCH201.cells)
    _, first = np.unique(exact_class(NASBENCH201.cells), return_index=True)
    chosen = first[shape.connected[first]]  # one cell a class
    facts = [
        ranges(next(iter(columns.values())), chosen),
        *noise(table, chosen),
        correlations(table, columns, chosen),
        *by_topology(columns, shape),
        best(columns),
    ]
    return {
        "facts": "\n".join(map(written, facts)),
        "rewired-pairs": studied("rewired-pairs"),
        "topology-vs-truth": studied("topology-vs-truth"),
        "selected-speed": studied("selected-speed", rows=[str(HERE / "reference")]),
    }


def main() -> None:
    """Put each block between its marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    page = HERE.parent / "clutter201.md"
    text = page.read_text()
    for name, body in blocks().items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(lambda _, b=begin, t=body, e=end: f"{b}\n{t}\n{e}", text)
    if check:
        raise SystemExit(int(text != page.read_text()))
    page.write_text(text)


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _single(table: TruthTable, parts: Sequence[str], seed: int) -> np.ndarray:
    columns = (as_cube(table, table.values("clutter", p, seed=seed)).ravel() for p in parts)
    return np.mean([*columns], axis=0)


def _percentiles(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return 100 * rankdata(values) / len(values)


if __name__ == "__main__":
    main()
