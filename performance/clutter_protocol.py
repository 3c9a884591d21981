"""How well a protocol tells cells apart: seeds of random cells held against each other.

    python performance/clutter_protocol.py --cells 16 --log clutter.jsonl --set epochs=12

Draws connected cells of NAS-Bench-201 (one of each exact equivalence class, uniformly over the
classes), trains each with --seeds seeds as a table is built, on one thread, and prints Kendall's
tau-b between single seeds (mean over pairs of seeds) and between means of half the seeds (mean over
divisions), the range of accuracies, CPU seconds per cell and seed (training and one evaluation;
importing and making the images apart), and tau between the seeds' mean and a table of
NAS-Bench-201. Finished trainings are kept in --log; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nni_wiring.data import load_data
from nni_wiring.train.batched import train_cell
from nni_wiring.train.config import make_train_config
from nni_wiring.truth import NASBENCH201, load_table
from search_spaces.topology import all_topology
from search_spaces.uniqueness import exact_class

PARTS = ("valid", "test")


def draw_cells(count: int, seed: int) -> list[str]:
    """Connected cells of ``count`` different exact classes; the first cells of a longer list."""
    codec = NASBENCH201.codec
    classes = np.unique(exact_class(codec.cells)[all_topology().connected])
    order = np.random.RandomState(seed).permutation(classes)[:count]
    return [codec.spell(codec.cells[code]) for code in order]


def train_once(options: Mapping[str, Any]) -> dict[str, Any]:
    """Held-out accuracies (percent) after the last epoch, and CPU seconds; no accuracy where the
    training diverged.
    """
    row = train_cell(make_train_config({"eval_epochs": [], **options}))
    return {"accuracy": dict(row.accuracy), "cpu": row.seconds}


def train_all(given: argparse.Namespace) -> list[list[dict[str, Any]]]:
    """The trainings of every cell, seed by seed; those in the log are not done again."""
    known = {}
    if given.log is not None and given.log.exists():
        lines = given.log.read_text().splitlines()
        known = {json.dumps(row["options"]): row for row in map(json.loads, lines)}
    rows = []
    for arch in draw_cells(given.cells, given.draw_seed):
        rows.append([])
        for seed in range(1, given.seeds + 1):
            options = {"data": "clutter", "protocol": "clutter", "device": "cpu"}
            options |= {**given.settings, "arch": arch, "seed": seed}
            row = known.get(json.dumps(options)) or {"options": options, **train_once(options)}
            if given.log is not None and json.dumps(options) not in known:
                with given.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            rows[-1].append(row)
    return rows


def agreement(scores: NDArray[np.float64], size: int) -> float:
    """Kendall's tau-b between means of ``size`` seeds of (cells, seeds) and means of ``size``
    others: mean over all ways of choosing them.
    """
    seeds = range(scores.shape[1])
    sets = list(combinations(seeds, size))
    found = [
        kendalltau(scores[:, one].mean(1), scores[:, other].mean(1)).statistic
        for one, other in combinations(sets, 2)
        if not set(one) & set(other)
    ]
    return float(np.mean(found))


def spread(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviations (points) of a cell's single seeds, and of the cells' true means: what is
    left of the variance of the means of (cells, seeds) without the seeds' part.
    """
    noise = scores.var(axis=1, ddof=1).mean()
    between = scores.mean(axis=1).var(ddof=1) - noise / scores.shape[1]
    return float(np.sqrt(noise)), float(np.sqrt(max(between, 0.0)))


def figures_of(rows: list[list[dict[str, Any]]], table: str | None, dataset: str) -> dict[str, Any]:
    """What the trainings say; cells of which a seed diverged are counted and left out."""
    whole = [cell for cell in rows if all(row["accuracy"] for row in cell)]
    cpu = [row["cpu"] for cell in rows for row in cell]
    found: dict[str, Any] = {"cells": len(whole), "diverged": len(rows) - len(whole)}
    found["cpu_seconds_median"] = statistics.median(cpu)
    found["cpu_seconds_largest"] = max(cpu)
    for part in PARTS:
        scores = np.array([[row["accuracy"][part] for row in cell] for cell in whole])
        found[f"{part}_tau_of_seeds"] = agreement(scores, 1)
        if (half := scores.shape[1] // 2) > 1:
            found[f"{part}_tau_of_{half}_seeds"] = agreement(scores, half)
        found[f"{part}_lowest"], found[f"{part}_highest"] = scores.min(), scores.max()
        found[f"{part}_seed_sd"], found[f"{part}_cell_sd"] = spread(scores)
        if table is not None:
            truth = load_table(table)
            values = truth.values(dataset, "valid")
            real = [values[truth.index_of(cell[0]["options"]["arch"])] for cell in whole]
            found[f"{part}_tau_with_{dataset}"] = float(kendalltau(scores.mean(1), real).statistic)
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=16, help="how many classes, from 2")
    parser.add_argument("--seeds", type=int, default=2, help="of every cell, from 2")
    parser.add_argument("--draw-seed", type=int, default=0, help="of the drawing of cells")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="pairs")
    parser.add_argument("--table", default="bundled", help="of NAS-Bench-201; '' for none")
    parser.add_argument("--dataset", default="cifar10", help="of that table, its valid column")
    parser.add_argument("--log", type=Path, help="JSON lines, a training each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    given.settings = {}
    for pair in given.pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            parser.error(f"--set {pair}: expected NAME=VALUE")
        given.settings[name] = yaml.safe_load(value)
    if given.cells < 2:
        parser.error(f"--cells {given.cells}: at least 2")
    if given.seeds < 2:
        parser.error(f"--seeds {given.seeds}: at least 2")
    return given


def main() -> None:
    """Print the figures."""
    given = arguments()
    torch.set_num_threads(1)
    load_data("clutter")  # made once, so that no training's seconds hold it
    found = figures_of(train_all(given), given.table or None, given.dataset)
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24s} {value:8.3f}" if isinstance(value, float) else f"{name:24s} {value:8d}")


if __name__ == "__main__":
    main()
