"""Pictures of baselines: regret curves as PNG and TensorBoard, one-shot runs as points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nni_wiring.errors import RunError
from nni_wiring.records import Truth
from nni_wiring.truth import Measure
from nni_wiring.tuners.simulate import Baseline

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_QUARTILES = ("lower", "median", "upper")


class Point(NamedTuple):
    """A one-shot run beside the curves: its real search seconds and true regret."""

    label: str
    seconds: float
    regret: float


def run_points(run_id: str, dataset: str, split: str) -> list[Point]:
    """The points of a run or of all runs of an experiment.

    Raises:
        RunError: no such run, or none of them has a result with this truth.
    """
    from nni_wiring.service.resolve import resolve

    points = []
    for run in resolve(run_id):
        truth = Truth.from_json((run.result() or {}).get("truth"))
        regret = None if truth is None else truth.at(dataset, split).regret
        if regret is not None:
            seconds = sum(float(record.get("seconds") or 0.0) for record in run.epochs())
            points.append(Point(run.run_id, seconds, regret))
    if not points:
        raise RunError(f"run {run_id!r} has no result with a {dataset} {split} regret")
    return points


def curve_rows(baseline: Baseline, count: int = 10) -> list[dict[str, float | None]]:
    """The regret curve at ``count`` points, ready for JSON: at, lower, median, upper."""
    picks = np.linspace(0, len(baseline.grid) - 1, count).round().astype(int)
    rows = []
    for pick in picks.tolist():
        quartiles = [round(float(value), 4) for value in baseline.quartiles[:, pick]]
        known = [None if math.isnan(value) else value for value in quartiles]
        at = {"at": round(float(baseline.grid[pick]), 4)}
        rows.append({**at, **dict(zip(_QUARTILES, known, strict=True))})
    return rows


def plot(baselines: list[Baseline], points: list[Point], path: Path) -> None:
    """Write the regret curves (median and quartiles over repeats) as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for colour, baseline in zip(_COLOURS, baselines, strict=False):
        lower, median, upper = baseline.quartiles
        label = f"{baseline.method} ({len(baseline.scores)} repeats)"
        axes.plot(baseline.grid, median, color=colour, label=label)
        axes.fill_between(baseline.grid, lower, upper, color=colour, alpha=0.2, linewidth=0)
    task, budget = baselines[0].task, baselines[0].budget
    for point, marker in zip(points, "*Xs^vDP<>" * len(points), strict=False):
        # Evaluations and seconds do not compare: without a clock the point stands at the end.
        at = point.seconds if budget.unit == "seconds" else budget.amount
        axes.plot(at, point.regret, marker, color="#222222", markersize=10, label=point.label)
    unit = "simulated training, seconds" if budget.unit == "seconds" else "evaluations"
    axes.set_xlabel(
        f"{unit} (searches see {task.signal_epochs}-epoch validation {task.measure.name})"
    )
    axes.set_ylabel(f"regret, {task.dataset} {task.split}, {_regret_unit(task.measure)}")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize="small")
    axes.set_title("median and quartiles over repeats", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _regret_unit(measure: Measure) -> str:
    return "percent points" if measure.unit == "%" else measure.name


def write_tensorboard(baselines: list[Baseline], points: list[Point], folder: Path) -> None:
    """Write the curves as scalars; a step is one second or one evaluation.

    Median and quartiles are runs of their own under one tag, so that they share a chart. A
    one-shot run is a constant line.
    """
    from tensorboard.summary import Writer

    task = baselines[0].task
    tag = f"baseline/{task.dataset}/{task.split}_regret"
    for baseline in baselines:
        for name, curve in zip(_QUARTILES, baseline.quartiles, strict=True):
            writer = Writer(str(folder / f"{baseline.method}-{name}"))
            for at, regret in zip(baseline.grid, curve, strict=True):
                if math.isfinite(regret):
                    writer.add_scalar(tag, float(regret), step=int(at))
            writer.close()
    for point in points:
        writer = Writer(str(folder / f"run-{Path(point.label).name}"))
        for at in (baselines[0].grid[0], baselines[0].grid[-1]):
            writer.add_scalar(tag, point.regret, step=int(at))
        writer.close()
