"""From the rows of a build to a table that `--benchmark NAME` uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.options import BuildOptions
from nni_wiring.building.plan import Plan, Unit
from nni_wiring.building.rows import Row
from nni_wiring.errors import BenchmarkError
from nni_wiring.runs import environment
from nni_wiring.truth.archive import SHIPPED, table_file
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.built import BuiltBenchmark, parse_description
from nni_wiring.truth.catalogue import forget, table_path
from nni_wiring.truth.metrics import CostKey, Metric, MetricKey, TableData, check_data
from nni_wiring.truth.ownership import owned_table
from nni_wiring.truth.sources import bundled
from nni_wiring.truth.storage import read_table, save_table

#: The kind of such a table.
KIND = "built"
_SHOWN = 3


def check_name(name: str, options: BuildOptions) -> None:
    """Raise BenchmarkError where a table of that name cannot be, or is not of these options."""
    table_path(name)  # refuses what cannot be a file's name
    target = table_file(name)
    if name == bundled.NAME or name in list(BENCHMARKS):
        raise BenchmarkError(f"table name {name!r} is taken: a benchmark of that name is known")
    if target.exists() and read_table(target).info.get("options") != options.digest:
        more = "" if target.parent == SHIPPED else ", or remove that file"
        raise BenchmarkError(
            f"table name {name!r} is taken by {target}; choose another --name{more}"
        )


def finish(build: BuildFolder, name: str, partial: bool = False) -> TableData:
    """Write the table of a build.

    Args:
        build: with its rows.
        name: of the table.
        partial: accept missing trainings; cells without any are missing in the table.

    Raises:
        BenchmarkError: trainings are missing (the first cells are named), the name is taken, or
            the table cannot be written.
        OwnedError: another process writes that table now.
    """
    rows, plan = build.rows(), build.plan
    missing = [unit for unit in plan.units() if unit not in rows]
    if not rows or (missing and not partial):
        raise BenchmarkError(incomplete(name, plan, missing))
    data = table_data(name, build.options, plan, rows)
    check_data(data, name)
    with owned_table(name):
        check_name(name, build.options)
        path = table_path(name)
        try:
            save_table(path, data)
        except OSError as error:
            raise BenchmarkError(f"{path}: cannot be written ({error.strerror})") from None
        forget()
    return data


def incomplete(name: str, plan: Plan, missing: list[Unit]) -> str:
    """One line: how much is missing, of which cells first, and what can be done."""
    return (
        f"{lacking(name, plan, missing)}; `benchmark build` goes on, "
        f"`benchmark merge {name} --partial` takes what there is"
    )


def lacking(name: str, plan: Plan, missing: list[Unit]) -> str:
    """Half a line: how much is missing, and of which cells first."""
    codes = list(dict.fromkeys(unit.code for unit in missing))
    first = ", ".join(plan.arch(code) for code in codes[:_SHOWN])
    more = ", ..." if len(codes) > _SHOWN else ""
    total = len(plan.units())
    return (
        f"table {name!r} is not complete: {len(missing)} of {total} trainings are missing, "
        f"of {len(codes)} cells ({first}{more})"
    )


def table_data(name: str, options: BuildOptions, plan: Plan, rows: Mapping[Unit, Row]) -> TableData:
    """The table's content: every cell has the values of the one that was trained in its place.

    A training that diverged has no accuracy from that epoch on, and neither has a cell of which all
    have; its seed is named in ``info["diverged"]``.
    """
    benchmark = benchmark_of(name, options, next(iter(rows.values())).images)
    order = benchmark.order()
    place = np.argsort(order)[plan.codes]  # of every cell of the plan in official order
    dataset = benchmark.dataset_names[0]
    metrics = {}
    for epochs in options.epochs:
        for split in benchmark.splits:
            values = [_column(plan, rows, seed, epochs, split) for seed in plan.seeds]
            if np.isfinite(values).any():
                trials = np.full((len(values), benchmark.cells), np.nan)
                trials[:, place] = values
                seeds = np.where(np.isfinite(trials), np.array(plan.seeds)[:, None], 0)
                metrics[MetricKey(dataset, split, epochs)] = Metric.from_trials(
                    trials, seeds.astype(np.int16)
                )
    cost = np.full(benchmark.cells, np.nan, dtype=np.float32)
    cost[place] = _seconds(plan, rows) / options.epochs[-1]
    costs = {CostKey("train_epoch", dataset): cost}
    return TableData(order, metrics, costs, _info(options, plan, rows), benchmark)


def benchmark_of(name: str, options: BuildOptions, images: int) -> Benchmark:
    """The benchmark that a build's table is of. images: of one training."""
    training = options.training
    description = BuiltBenchmark(
        name=name,
        cells=str(options.space.benchmark),
        space=options.space.name if options.cells is None else None,
        dataset=dataset_name(str(training["data"])),
        data=sorted({str(training["data"]), _resolved(str(training["data"]))}),
        images=images,
        epochs=list(options.epochs),
        network=(training.get("channels", 0), training.get("cells", 0)),
        optimiser=_optimiser(training),
        settings={k: v for k, v in training.items() if k in _TOLD and not isinstance(v, list)},
    )
    return parse_description(description.model_dump(mode="json"), BENCHMARKS.lookup)


_TOLD = frozenset(
    {
        *("batch_size", "lr", "lr_min", "momentum", "weight_decay", "nesterov", "head"),
        *("optimiser", "schedule", "clip", "cutout", "augment", "split", "max_steps", "resize"),
    }
)


def dataset_name(data: str) -> str:
    """A word for the images: the data set's name, or that of the file."""
    prefix, _, path = data.partition(":")
    stem = PurePath(path).name.split(".")[0] if path else prefix
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:40] or "images"


def _resolved(data: str) -> str:
    prefix, colon, path = data.partition(":")
    return f"{prefix}:{Path(path).expanduser().resolve()}" if colon else data


def _optimiser(training: Mapping[str, Any]) -> str:
    return (
        f"{training['optimiser'].upper()}, {training['schedule'].replace('_', ' ')}, "
        f"lr {training['lr']:g} -> {training['lr_min']:g}, weight decay "
        f"{training['weight_decay']:g}, batch {training['batch_size']}; "
        "the lengths are points of one training"
    )


def _column(
    plan: Plan, rows: Mapping[Unit, Row], seed: int, epochs: int, split: str
) -> NDArray[np.float64]:
    """(cells,) percent of all cells asked for; NaN where a training is missing or has diverged."""
    values = {}
    for code in plan.classes.tolist():
        row = rows.get(Unit(code, seed))
        values[code] = np.nan if row is None else row.accuracy.get(epochs, {}).get(split, np.nan)
    return plan.back(values)


def _seconds(plan: Plan, rows: Mapping[Unit, Row]) -> NDArray[np.float64]:
    """(cells,) CPU seconds of a whole training with its evaluations: the mean over those that did
    not diverge; NaN where there is none.
    """
    found: dict[int, list[float]] = {code: [] for code in plan.classes.tolist()}
    for unit, row in rows.items():
        if row.diverged is None:
            found[unit.code].append(row.cpu)
    return plan.back({c: float(np.mean(all_)) if all_ else np.nan for c, all_ in found.items()})


def _info(options: BuildOptions, plan: Plan, rows: Mapping[Unit, Row]) -> dict[str, Any]:
    present = {unit.code for unit in rows}
    diverged: dict[str, list[int]] = {}
    for unit, row in sorted(rows.items()):
        if row.diverged is not None:
            diverged.setdefault(str(unit.seed), []).append(unit.code)
    return {
        "kind": KIND,
        "version": f"options {options.digest[:12]}",
        "versions": environment.versions(),
        "cells": int(np.isin(plan.trained, sorted(present)).sum()),
        "classes": len(present),
        "trainings": len(rows),
        "cpu_hours": round(sum(row.cpu for row in rows.values()) / 3600, 4),
        "options": options.digest,
        "settings": dict(options.training) | {"seeds": list(options.seeds)},
        "diverged": diverged,
        "sha256": options.digest,
    }
