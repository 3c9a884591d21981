"""Time and memory of the truth table: loading, one query, a rank, a simulated search.

    python performance/truth_table.py [--source ../shared/data/nb201_truth.csv.gz] [--json]

Times are CPU time on one thread, since other work on the machine is not the table's doing. Loading
runs in processes of its own, best of five; memory is the peak of a process that loads the
table and asks it once, numpy and Python included. Without --source the bundled table is measured
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LOAD = """
import sys, time
import numpy
from nni_wiring.truth import load_table
start = time.process_time()
table = load_table(sys.argv[1])
seconds = time.process_time() - start
table.query(6111)
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(seconds, int(peak.split()[1]) / 1024)
"""


def main() -> None:
    """Measure, and print one line a figure or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="a table to import and measure, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"NNI_WIRING_CACHE": folder, "OMP_NUM_THREADS": "1"}
        figures = measure(options.source)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:45s} {value:12.4g}")


def measure(source: Path | None) -> dict[str, float]:
    """All figures; the unit is the last word of a name."""
    from nni_wiring.truth import load_table
    from nni_wiring.truth.standing import stand

    figures = {"bundled, uncached: load s": loaded("bundled")[0]}
    figures["bundled, cached: load ms"], figures["bundled, cached: peak MB"] = best_load("bundled")
    name = "bundled"
    if source is not None:
        from nni_wiring.truth.importer import import_table

        start = time.perf_counter()
        import_table(source, "measured")
        figures["import s"] = time.perf_counter() - start
        name = "measured"
        figures["imported: load ms"], figures["imported: peak MB"] = best_load(name)
    table = load_table(name)
    archs = [table.arch(random.randrange(len(table))) for _ in range(5000)]
    figures["query by arch string us"] = per_call(lambda: [table.query(a) for a in archs]) / 5e-3
    values = table.values("cifar10", "valid")
    figures["rank of the whole table ms"] = per_call(lambda: stand(values)) * 1e3
    uniform = [[0.2] * 5] * 6
    figures["expectation under p(alpha) us"] = (
        per_call(lambda: table.expectation(uniform, "cifar10", "valid"), 200) * 1e6
    )
    return figures | searches(name)


def searches(name: str) -> dict[str, float]:
    """Evaluations a second of each method in process, sampling code included."""
    from nni_wiring.truth import load_table
    from nni_wiring.tuners.simulate import METHODS, Budget, make_task, run_search

    task = make_task(load_table(name), "cifar10")
    counts = {"random": 50_000, "evolution": 50_000, "local_search": 5_000, "reinforce": 2_000}
    return {
        f"{method}: evaluations per second": count
        / per_call(
            lambda m=method, c=count: run_search(
                METHODS[m](seed=1), task, Budget(c, "evaluations")
            ),
            3,
        )
        for method, count in counts.items()
    }


def best_load(name: str) -> tuple[float, float]:
    """Milliseconds of the fastest of five loads, and peak memory in MB."""
    runs = [loaded(name) for _ in range(5)]
    return min(run[0] for run in runs) * 1e3, max(run[1] for run in runs)


def loaded(name: str) -> tuple[float, float]:
    """Seconds to load a table in a fresh process, and that process's peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, name], capture_output=True, text=True, check=True
    )
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def per_call(function: Callable[[], object], repeats: int = 15) -> float:
    """CPU seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
