"""How the time of a search step grows with cells, channels, batch, edges and operations.

    python performance/scaling.py --json

One thread, CPU seconds, fused supernet unless --supernet says otherwise. Each row varies one size
from the base; ``exponent`` is the slope of log seconds over log size (1: linear growth).
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import torch
from stepping import alternate, our_stepper, random_batches

from search_spaces.cell_graph import NB201, OPERATIONS

BASE = {"cells": 1, "channels": 16, "batch": 16, "edges": 6, "operations": 5}
SIZES = {
    "cells": [1, 2, 4],
    "channels": [8, 16, 32],
    "batch": [16, 32, 64],
    "edges": [3, 4, 6],
    "operations": [2, 3, 5],
}


def constraint(edges: int, operations: int) -> dict[str, list[str]]:
    """All but the last ``edges`` edges fixed to skip, the others with the last ``operations`` of
    the five.
    """
    free = NB201.edge_names[len(NB201.edge_names) - edges :]
    candidates = list(OPERATIONS[len(OPERATIONS) - operations :])
    return {e: candidates if e in free else ["skip_connect"] for e in NB201.edge_names}


def seconds_of(sizes: list[dict[str, int]], supernet: str, rounds: int) -> list[float]:
    """Median CPU seconds of a step at each of some sizes, taking turns."""
    steps = {}
    for number, size in enumerate(sizes):
        stepper = our_stepper(
            random_batches(size["batch"], 32),
            supernet=supernet,
            cells=size["cells"],
            channels=size["channels"],
            batch_size=size["batch"],
            operations=constraint(size["edges"], size["operations"]),
        )
        steps[str(number)] = stepper.step
    return list(alternate(steps, rounds).medians().values())


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Least-squares slope of log seconds over log size."""
    x, y = [math.log(v) for v in sizes], [math.log(v) for v in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--supernet", choices=["plain", "fused"], default="fused")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of all sizes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    for name, values in SIZES.items():
        sizes = [{**BASE, name: value} for value in values]
        seconds = seconds_of(sizes, given.supernet, given.rounds)
        rows[name] = {
            "sizes": values,
            "seconds": seconds,
            "exponent": exponent(values, seconds),
        }
        if not given.json:
            figures = ", ".join(f"{v}: {s:.3f} s" for v, s in zip(values, seconds, strict=True))
            print(f"{name}: {figures}; exponent {rows[name]['exponent']:.2f}", flush=True)
    if given.json:
        print(json.dumps({"supernet": given.supernet, "base": BASE, "rows": rows}))


if __name__ == "__main__":
    main()
