"""A slice of a table as an NNI trial, whose folder `benchmark merge` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni_wiring.building.folder import SLICE, BuildFolder, is_build
from nni_wiring.building.options import make_build_options
from nni_wiring.building.plan import Slice
from nni_wiring.building.work import run_build
from nni_wiring.runs.store import RunFolder

Report = Callable[[dict[str, Any]], None]


def open_slice(run: RunFolder) -> tuple[BuildFolder, Slice]:
    """The build that a trial's parameters describe, begun or as it was left, and its part of it.

    Raises:
        WiringError: one line; a parameter is unknown or wrong.
    """
    part = Slice.parse(run.config[SLICE])
    options = make_build_options({k: v for k, v in run.config.items() if k != SLICE})
    if is_build(run):
        return BuildFolder(run, options), part
    return BuildFolder.begun(run, options, part), part


def train_slice(build: BuildFolder, part: Slice, report: Report) -> dict[str, Any]:
    """Train what is missing of a slice.

    Args:
        build, part: of :func:`open_slice`.
        report: told the percentage of the slice's trainings that are done, after each.

    Returns:
        The metric of the finished slice, ``default`` of which is 100.
    """
    before = finished(build, part)

    def tell(done: int, total: int) -> None:
        if done > before:
            report({"default": 100 * done / total, "trainings": float(done)})

    run_build(build, part, progress=tell)
    rows = [build.rows()[unit] for unit in build.plan.units(part)]
    return {
        "default": 100.0,
        "trainings": float(len(rows)),
        "diverged": float(sum(row.diverged is not None for row in rows)),
        "cpu_seconds": sum(row.cpu for row in rows),
    }


def finished(build: BuildFolder, part: Slice) -> int:
    """The number of the slice's trainings that are done."""
    return len(build.plan.units(part)) - len(build.missing(part))
