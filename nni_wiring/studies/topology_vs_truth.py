"""Width and depth against accuracy where the live operations are equal (S3's confounders)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import BenchmarkError, ConfigError
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.statistics import spearman
from nni_wiring.studies.strata import (
    Array,
    IntArray,
    bootstrap,
    classes,
    contrasts,
    joint_class,
    live_multiset,
    spearman_within,
    strata,
)
from nni_wiring.studies.truths import table_mark, truth_of
from nni_wiring.truth import TruthTable
from search_spaces.topology import topology

_MOST_REPEATS = 100_000
#: (width in units of c, depth) that is compared with the wide and shallow (2, 2)
_WIDE, _OTHERS = (2.0, 2), ((1.0, 3), (1.5, 3))


def columns(table: TruthTable, dataset: str) -> dict[str, Array]:
    """Validation accuracies and percentiles by name, the shortest tabulated training first.

    Columns that the table lacks are left out.
    """
    found: dict[str, Array] = {}
    known = sorted(
        key.epochs for key in table.metrics if (key.dataset, key.split) == (dataset, "valid")
    )
    for epochs in known[:: max(1, len(known) - 1)][:2]:
        found[f"{epochs} epochs, points"] = table.values(dataset, "valid", epochs).astype(float)
        found[f"{epochs} epochs, percentiles"] = table.standing(dataset, "valid", epochs).percentile
    if len(found) == 4:
        first, last = (name for name in found if name.endswith("percentiles"))
        found["percentiles lost"] = found[first] - found[last]
    return found


def _figures(table: TruthTable, dataset: str) -> dict[str, Array]:
    shape, parameters = topology(table.operations), table.benchmark.parameters
    found = {"width": shape.width, "depth": shape.depth, "conv depth": shape.conv_depth}
    if parameters is not None:
        found["parameters"] = parameters(table.operations, dataset)
    return {name: np.asarray(values, dtype=float) for name, values in found.items()}


def _measured(table: TruthTable) -> dict[str, Any]:
    """By data set: every contrast's column in every shared stratum, and the correlations."""
    shape, multiset = topology(table.operations), live_multiset(table.operations)
    stratum = strata(multiset, shape.conv_depth)
    wide, live = joint_class(shape, *_WIDE), shape.connected
    within = strata(multiset[live])
    pairs = {
        f"(2c, 2) - ({width:g}c, {depth})": classes(wide, joint_class(shape, width, depth), stratum)
        for width, depth in _OTHERS
    }
    found: dict[str, Any] = {}
    for dataset in table.benchmark.dataset_names:
        measured = columns(table, dataset)
        figures = {name: values[live] for name, values in _figures(table, dataset).items()}
        points = {n: v[live] for n, v in measured.items() if n.endswith("points")}
        if not all(np.isfinite(values).any() for values in points.values()):
            raise BenchmarkError(f"table {table.name!r} has no connected cell on {dataset}")
        found[dataset] = {
            "contrasts": {
                label: {n: contrasts(v, pair.where(np.isfinite(v))) for n, v in measured.items()}
                for label, pair in pairs.items()
            },
            "correlations": _correlation_table(dataset, points, figures, within)._asdict(),
        }
    return found


def measure(run: StudyRun) -> Findings:
    """From the table alone; columns that a table lacks are left out."""
    if not 1 <= run["repeats"] <= _MOST_REPEATS:
        raise ConfigError(f"repeats={run['repeats']}: allowed are 1..{_MOST_REPEATS:,}")
    asked = partial(table_mark, run)
    kept = run.part("strata", lambda: _measured(truth_of(run).table), asked)
    rows: list[Row] = [
        {
            "data": dataset,
            "contrast": label,
            "column": name,
            **bootstrap(np.array(values, dtype=float), run["repeats"])._asdict(),
        }
        for dataset, found in kept.items()
        for label, of_contrast in found["contrasts"].items()
        for name, values in of_contrast.items()
        if values
    ]
    correlations = [Table(**found["correlations"]) for found in kept.values()]
    return Findings(
        tables=[_contrast_table(rows, run["repeats"]), *correlations],
        verdicts=[],
        numbers={"contrasts": _by_contrast(rows)},
        rows=rows,
    )


def _contrast_table(rows: list[Row], repeats: int) -> Table:
    names = ("data", "contrast", "column", "mean", "low", "high", "values")
    return Table(
        f"within equal live operations and conv depth; 95 % over {repeats:,} draws of strata",
        [*names[:-1], "strata"],
        [[row[name] for name in names] for row in rows],
    )


def _correlation_table(
    dataset: str, accuracies: dict[str, Array], figures: dict[str, Array], stratum: IntArray
) -> Table:
    """Of every figure with every accuracy: over all connected cells, and within strata."""
    rows: list[list[Any]] = []
    for label, figure in figures.items():
        row: list[Any] = [label]
        for values in accuracies.values():
            known = np.isfinite(values)
            within = spearman_within(figure[known], values[known], stratum[known])
            row += [spearman(figure, values), within]
        rows.append(row)
    names = [name.split(",")[0] for name in accuracies]
    return Table(
        f"{dataset}: Spearman over connected cells, and within equal live operations",
        ["figure", *(f"{name}{part}" for name in names for part in ("", ", within"))],
        rows,
    )


def _by_contrast(rows: list[Row]) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if "percentiles" in row["column"]:
            panel = found.setdefault(f"{row['data']}, {row['contrast']}", {})
            panel[row["column"].split(",")[0]] = [row["mean"], row["low"], row["high"]]
    return found


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The contrasts in percentiles, one panel a data set and contrast."""
    title = "Wide and shallow minus deeper cells of equal live operations"
    return {"topology_contrasts": operation_bars(numbers["contrasts"], title, "percentiles")}


STUDY = Study(
    name="topology-vs-truth",
    title="width and depth against accuracy, live operations equal",
    source="Shu et al., ICLR 2020, arXiv 1909.09569; the strata are ours",
    own={"repeats": 10_000},
    small={},
    paper={},
    measure=measure,
    plot=plot,
)
