"""Which pictures a report holds: name, caption and figure of each, for one run or for several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from nni_wiring import figures
from nni_wiring.figures import Mark, Strip
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.curves import metric_title
from nni_wiring.report.summary import Comparison, strategy_labels
from nni_wiring.truth import TruthTable, published_rows

_STEPS = {"alpha": "alpha step", "weights": "weight step"}


class Picture(NamedTuple):
    """One picture of a report; `name` is its file name without `.png`."""

    name: str
    caption: str
    figure: Figure


def run_pictures(run: RunAnalysis, table: TruthTable | None) -> list[Picture]:
    """The pictures of one run; what it has no data for is left out."""
    found = [
        _cell(run),
        _timeline(run),
        _alphas(run),
        _costs(run),
        _heat_map(run),
        _histogram(run, table),
        _regret(run, table),
    ]
    return [picture for picture in found if picture is not None]


def comparison_picture(runs: Sequence[RunAnalysis], comparison: Comparison) -> Picture:
    """Runs by strategy in one metric beside the published rows."""
    values: dict[str, list[float]] = {}
    for run, label in zip(runs, strategy_labels(runs), strict=True):
        accuracy = (run.truth or {}).get("accuracy", {}).get(comparison.dataset, {})
        value = accuracy.get(comparison.split) if isinstance(accuracy, Mapping) else None
        if isinstance(value, (int, float)) and run.status == "finished":
            values.setdefault(label, []).append(float(value))
    strips = [Strip(label, tuple(accuracies)) for label, accuracies in values.items()]
    marks = _published(comparison.published)
    if comparison.optimum is not None:
        marks.append(Mark(f"best cell {comparison.optimum:.2f}", comparison.optimum, "optimum"))
    if comparison.random_mean is not None:
        mean = comparison.random_mean
        marks.append(Mark(f"mean random cell {mean:.2f}", mean, "random"))
    metric = metric_title(comparison.dataset, comparison.split)
    return Picture(
        f"compare_{comparison.dataset}_{comparison.split}",
        f"True {metric} accuracy of the derived cells: one orange dot a finished run, diamonds are "
        "means, bars one standard deviation.",
        figures.comparison_figure(strips, marks, f"{metric} accuracy by strategy"),
    )


def _cell(run: RunAnalysis) -> Picture | None:
    if run.wiring is None or run.topology is None:
        return None
    topology = run.topology
    title = (
        f"Derived cell: width {topology['width']:g} c, depth {topology['depth']}, "
        f"{topology['live_edges']} live edges"
    )
    caption = (
        "The derived cell: colour is the operation, line width its weight Z, dashed grey edges "
        "are dead."
    )
    return Picture("cell", caption, figures.cell_graph_figure(run.wiring, run.chosen_z, title))


def _timeline(run: RunAnalysis) -> Picture | None:
    if not run.curves.states:
        return None
    caption = (
        "How the wiring evolved: the operation of the largest α on every edge, epoch by epoch, and "
        "the number of edges where it is not none (the growing pattern shows here)."
    )
    title = "Operation of the largest α on every edge"
    figure = figures.wiring_timeline_figure(run.curves.states, title=title)
    return Picture("wiring_timeline", caption, figure)


def _alphas(run: RunAnalysis) -> Picture | None:
    if not run.curves.alpha:
        return None
    figure = figures.edge_series_figure(run.curves.alpha, "Architecture parameters α", "α")
    return Picture("alphas", "Architecture parameters α of every edge over epochs.", figure)


def _costs(run: RunAnalysis) -> Picture | None:
    if run.curves.phase is None or not run.curves.cost:
        return None
    step = _STEPS[run.curves.phase]
    figure = figures.edge_series_figure(
        run.curves.cost,
        f"Local cost ∂L/∂Z, mean over cells and steps ({step})",
        "cost (loss)",
        run.curves.edge_cost,
        "Z-weighted mean of the edge",
    )
    caption = (
        "Local cost of every operation over epochs. Under softmax an operation gains share while "
        "its cost lies below the dashed Z-weighted mean of its edge; none costs 0, so it gains "
        "where that mean is positive."
    )
    return Picture("costs", caption, figure)


def _heat_map(run: RunAnalysis) -> Picture | None:
    cells = run.curves.cells
    if cells is None:
        return None
    title = f"Edge cost per cell, epoch {run.curves.epochs[-1]} ({_STEPS[cells.phase]})"
    caption = (
        "Z-weighted local cost of every cell and edge in the last epoch: orange raises the loss, "
        "purple lowers it."
    )
    return Picture("cost_heat_map", caption, figures.cost_heat_map_figure(cells, title))


def _histogram(run: RunAnalysis, table: TruthTable | None) -> Picture | None:
    if table is None or not table.has(run.dataset, run.split):
        return None
    metric = metric_title(run.dataset, run.split)
    marks = truth_marks(table, run.dataset, run.split, run.accuracy())
    figure = figures.truth_histogram_figure(
        table.values(run.dataset, run.split),
        marks,
        f"{metric}: where the derived cell stands among all 15,625",
        f"true {metric} accuracy, %",
    )
    caption = (
        "All true accuracies, the derived cell (orange), the best cell (green), the mean random "
        "cell (dashed) and published results (grey)."
    )
    return Picture("truth_histogram", caption, figure)


def _regret(run: RunAnalysis, table: TruthTable | None) -> Picture | None:
    if not run.curves.regret:
        return None
    reference = None
    if table is not None and table.has(run.dataset, run.split):
        best = table.optimum(run.dataset, run.split).accuracy
        reference = best - table.mean(run.dataset, run.split)
    caption = "How far the cell derived in each epoch lies below the best cell, in percent points."
    figure = figures.regret_figure(
        run.curves.epochs, run.curves.regret, reference, "Regret of the cell derived in each epoch"
    )
    return Picture("regret", caption, figure)


def truth_marks(table: TruthTable, dataset: str, split: str, accuracy: float | None) -> list[Mark]:
    """What a histogram of `dataset` and `split` points out; `accuracy` is the run's, in percent."""
    marks = _published([row for row in published_rows(dataset) if row.split == split])
    marks.append(Mark("best cell", table.optimum(dataset, split).accuracy, "optimum"))
    marks.append(Mark("mean random cell", table.mean(dataset, split), "random"))
    if accuracy is not None:
        marks.append(Mark("this run", accuracy, "run"))
    return marks


def _published(rows: Sequence[tuple[str, str, str, float, float | None, str]]) -> list[Mark]:
    return [Mark(method, mean, "published", std) for method, _, _, mean, std, _ in rows]
