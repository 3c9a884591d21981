"""The contents of a table, or of a half-built one."""

from __future__ import annotations

from typing import Any

from nni_wiring.building.folder import BuildFolder, build_path
from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.catalogue import load_table, table_names
from nni_wiring.truth.table import TruthTable


def info(name: str) -> dict[str, Any]:
    """The table ``name`` and its build, ready for JSON; None for the one that is not there.

    Raises:
        BenchmarkError: neither is there.
    """
    has_table, has_build = name in table_names(), (build_path(name) / "run.json").exists()
    if not has_table and not has_build:
        known = ", ".join(table_names())
        raise BenchmarkError(f"no table and no build {name!r}; tables: {known}")
    return {
        "name": name,
        "table": describe_table(load_table(name)) if has_table else None,
        "build": describe_build(BuildFolder.open(build_path(name))) if has_build else None,
    }


def describe_table(table: TruthTable) -> dict[str, Any]:
    """A table's benchmark, data sets with their protocols, columns and origin."""
    benchmark = table.benchmark
    datasets = {
        one.name: {
            "title": one.title,
            "images": dict(one.protocol.images),
            "epochs": list(one.protocol.epochs),
            "points_of_one_training": one.protocol.one_curve,
            "channels": one.protocol.channels,
            "cells": one.protocol.cells,
            "optimiser": one.protocol.optimiser,
        }
        for one in benchmark.datasets
    }
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "cells_of": benchmark.family,
        "datasets": datasets,
        "metrics": [str(key) for key in table.metrics],
        "info": table.info,
    }


def describe_build(build: BuildFolder) -> dict[str, Any]:
    """The progress of a build: trainings by seed, and which of the trained cells it has.

    ``has``: cells with all their seeds; ``missing``: those that lack one. A class of equal cells
    stands under the cell that is trained for it.
    """
    plan, rows = build.plan, build.rows()
    left = [unit for unit in plan.units() if unit not in rows]
    lacking = {unit.code for unit in left}
    classes = plan.classes.tolist()
    return {
        "status": build.run.status,
        "folder": str(build.run.path),
        "space": build.options.space.name,
        "data": build.options.training["data"],
        "cells": len(plan.codes),
        "classes": len(classes),
        "trainings": {
            str(seed): {"done": sum(u.seed == seed for u in rows), "all": len(classes)}
            for seed in plan.seeds
        },
        "cpu_seconds": round(sum(row.cpu for row in rows.values()), 1),
        "diverged": [[row.arch, row.seed] for row in rows.values() if row.diverged is not None],
        "has": [plan.arch(code) for code in classes if code not in lacking],
        "missing": [plan.arch(code) for code in classes if code in lacking],
    }
