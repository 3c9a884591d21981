"""TensorBoard's tab WIRING in headless Chromium: the first picture, and a move of the slider.

    python performance/tab.py --runs 20 --epochs 200 --json

Milliseconds of wall time in the browser, so run it on a machine that does nothing else. A move is
timed from the slider's event to the end of the frame that shows it (script, layout and paint);
`script` is its part until the layout is known. The first picture counts from the opening of the
frame: all epochs are read by TensorBoard's Python loader before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard import default, program
from torch.utils.tensorboard import SummaryWriter

from nni_wiring.monitor.tab import TabSink
from nni_wiring.monitor.view import View
from nni_wiring.records import CostMoments, EpochRecord
from nni_wiring.tab.plugin import WiringLoader
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from browser import Browser  # noqa: E402

PAGE = "document.querySelector('.wiring')"
MOVE = """(async () => {
    const slider = document.querySelector('.bar input'), start = performance.now();
    slider.value = EPOCH;
    slider.dispatchEvent(new Event('input'));
    document.body.getBoundingClientRect();
    const script = performance.now() - start;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return [script, performance.now() - start];
})()"""


def random_record(epoch: int, alpha: np.ndarray, draw: np.random.Generator) -> EpochRecord:
    """An epoch with the cell of the largest alphas, (edges, operations), and random costs."""

    def table(values: np.ndarray) -> dict[str, dict[str, float | None]]:
        rows = [dict(zip(OPERATIONS, row, strict=True)) for row in values.tolist()]
        return dict(zip(NB201.edge_names, rows, strict=True))

    names = [OPERATIONS[place] for place in alpha.argmax(axis=1)]
    truths = load_table()
    index = truths.index_of([OPERATIONS.index(name) for name in names])
    z = np.exp(alpha) / np.exp(alpha).sum(axis=1, keepdims=True)
    costs = table(draw.normal(scale=1e-3, size=alpha.shape))
    return EpochRecord(
        epoch=epoch,
        loss={"train": 2.0, "search": 2.1},
        alpha=table(alpha),
        z=table(z),
        cost={"alpha": CostMoments(costs, {}, {})},
        arch=truths.arch(index),
        truth=truths.truth(index),
    )


def write_runs(folder: Path, runs: int, epochs: int) -> float:
    """Write random walks of alpha; returns CPU milliseconds an epoch inside the sink."""
    spent = 0.0
    for run in range(runs):
        draw = np.random.default_rng(run)
        steps = draw.normal(scale=0.1, size=(epochs, len(NB201.edge_names), len(OPERATIONS)))
        config = {"strategy": ("darts", "gdas")[run % 2], "seed": run // 2, "epochs": epochs}
        with SummaryWriter(str(folder / f"run-{run}")) as writer:
            sink = TabSink(writer, View(load_table(), "cifar10"), f"run-{run}", config)
            for epoch, alpha in enumerate(steps.cumsum(axis=0)):
                record = random_record(epoch, alpha, draw)
                start = time.process_time()
                sink(record)
                spent += time.process_time() - start
    return 1000 * spent / (runs * epochs)


def measure(folder: Path, profile: Path, runs: int, epochs: int, moves: int) -> dict[str, Any]:
    """Open the frame of the tab and move its slider."""
    board = program.TensorBoard([*default.get_static_plugins(), WiringLoader])
    board.configure(["tensorboard", "--logdir", str(folder), "--port", "0", "--load_fast", "false"])
    address = f"{board.launch()}data/plugin_entry.html?name=wiring"
    browser = Browser(profile)
    try:
        drawn = f"document.querySelectorAll('.card .cell').length == {runs}"
        whole = f"{PAGE}?.querySelector('.now').textContent == 'epoch {epochs - 1} of {epochs - 1}'"
        browser.open(address)  # which TensorBoard answers before it has read all runs
        browser.until(f"{drawn} && {whole}", 300)
        browser.open("about:blank")
        start = time.monotonic()
        browser.open(address)
        browser.until(f"{drawn} && {whole}", 300)
        first = 1000 * (time.monotonic() - start)
        places = np.linspace(0, epochs - 1, moves).astype(int)
        timed = [browser.ask(MOVE.replace("EPOCH", str(place))) for place in places]
        nodes = browser.ask("document.querySelectorAll('*').length")
        trouble = [line for line in browser.trouble if "favicon" not in line]
        assert trouble == [], trouble
    finally:
        browser.close()
    script, shown = zip(*timed, strict=True)
    return {
        "first_picture_ms": round(first),
        "move_ms": {"median": round(statistics.median(shown), 1), "most": round(max(shown), 1)},
        "script_ms": {"median": round(statistics.median(script), 1), "most": round(max(script), 1)},
        "nodes": nodes,
    }


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as logs, tempfile.TemporaryDirectory() as profile:
        sink = write_runs(Path(logs), options.runs, options.epochs)
        size = sum(file.stat().st_size for file in Path(logs).rglob("events.*"))
        found = {"runs": options.runs, "epochs": options.epochs}
        found |= {"sink_ms": round(sink, 2), "bytes": round(size / options.runs / options.epochs)}
        found |= measure(Path(logs), Path(profile), options.runs, options.epochs, options.moves)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:18} {value}")


if __name__ == "__main__":
    main()
