"""One DARTS step (first order) of our supernets against NNI's hub space with NNI's DARTS.

The variants called ``second`` are second-order steps, which NNI's DARTS does not have, those called
``pc`` steps of PC-DARTS.

The space is NAS-Bench-201's, or with ``--space darts`` that of DARTS (--cells is then their number
in all; its cells are "auto", for which nothing is compiled).

    python performance/search_step.py --cells 5 --channels 16 --batch 64 --rounds 5 --json

The variants take turns in one process on one batch (CPU seconds, one thread unless --threads says
otherwise); peak memory is that of a process of its own for each, less what the imports take.
On a GPU (``--device cuda``) the times are wall seconds, and there are variants with CUDA graphs.
NNI's step is float32 in any case, with tf32 products where ours has them (the process shares them).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import torch
from stepping import (
    Stepper,
    add_device,
    add_side,
    add_size,
    add_space,
    alternate,
    nni_stepper,
    options_of,
    our_stepper,
    random_batches,
)

from nni_wiring.strategies.engine.gradient_graphs import WARM_UP_STEPS

#: Options of our variants, by name.
OURS: dict[str, dict[str, Any]] = {
    "plain": {"supernet": "plain"},
    "auto": {"supernet": "auto"},
    "auto_compiled": {"supernet": "auto", "compile": True},
    "fused": {"supernet": "fused"},
    "fused_compiled": {"supernet": "fused", "compile": True},
    "plain_second": {"supernet": "plain", "order": 2},
    "fused_second": {"supernet": "fused", "order": 2},
    "compiled_second": {"supernet": "fused", "compile": True, "order": 2},
    "plain_pc": {"supernet": "plain", "strategy": "pc_darts"},
    "auto_pc": {"supernet": "auto", "strategy": "pc_darts"},
    "fused_graphs": {"supernet": "fused", "cuda_graphs": True},
    "fused_compiled_graphs": {"supernet": "fused", "compile": True, "cuda_graphs": True},
}
ON_CPU = ("nni", "plain", "fused", "fused_compiled")
OF_DARTS = ("nni", "plain", "auto", "auto_compiled")
VARIANTS = ("nni", *OURS)


def make(name: str, options: dict[str, Any], given: argparse.Namespace) -> Stepper:
    """The stepper of one variant."""
    batch = random_batches(given.batch, given.side)
    if name == "nni":
        return nni_stepper(batch, **{**options, "precision": "float32"})
    return our_stepper(batch, **options, **OURS[name])


def peak_mb() -> float:
    """The largest resident size of this process so far, in MB (of the GPU's memory where one is
    used).
    """
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory(name: str, options: dict[str, Any], given: argparse.Namespace) -> float:
    """Peak MB of a few steps in this process, above what it held before the supernet was made."""
    before = peak_mb()
    stepper = make(name, options, given)
    for _ in range(2 + WARM_UP_STEPS if "graphs" in name else 1):
        stepper.step()
    return peak_mb() - before


def memory_of(name: str) -> float:
    """``measure_memory`` in a process of its own, with this process's options."""
    command = [sys.executable, "-W", "ignore", *sys.argv, "--memory-of", name]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(found.stdout.strip().splitlines()[-1])


def measure(options: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """The figures that ``--json`` prints."""
    # first, while this process is small: Linux hands the peak of a parent down to its children
    peaks = {} if given.no_memory else {name: memory_of(name) for name in given.variants}
    steppers = {name: make(name, options, given) for name in given.variants}
    clock = "wall" if given.device == "cuda" else "cpu"
    warmup = 2 + WARM_UP_STEPS if given.device == "cuda" else 1
    times = alternate({name: s.step for name, s in steppers.items()}, given.rounds, warmup)
    seconds = times.medians(clock)
    reference = seconds.get("nni")
    return {
        "threads": torch.get_num_threads(),
        "cells": given.cells,
        "channels": given.channels,
        "batch": given.batch,
        "side": given.side,
        "seconds": seconds,
        "ratio_to_nni": {name: reference / s for name, s in seconds.items()} if reference else {},
        "peak_mb": peaks,
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_size(parser)
    add_side(parser)
    add_space(parser)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of all variants")
    parser.add_argument("--threads", type=int, default=1, help="threads")
    add_device(parser)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="default: all there are")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    usual = OF_DARTS if given.space == "darts" else VARIANTS if given.device == "cuda" else ON_CPU
    given.variants = given.variants or usual
    return given


def main() -> None:
    """Print the figures."""
    given = arguments()
    torch.set_num_threads(given.threads)
    options = options_of(given)
    if given.memory_of:
        print(measure_memory(given.memory_of, options, given))
        return
    result = measure(options, given)
    if given.json:
        print(json.dumps(result))
        return
    print(f"{'variant':21s} {'seconds':>8s} {'times NNI':>10s} {'peak MB':>8s}")
    for name, seconds in result["seconds"].items():
        ratio = result["ratio_to_nni"].get(name, float("nan"))
        peak = result["peak_mb"].get(name, float("nan"))
        print(f"{name:21s} {seconds:8.3f} {ratio:10.2f} {peak:8.0f}")


if __name__ == "__main__":
    main()
