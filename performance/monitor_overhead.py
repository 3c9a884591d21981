"""What WiringMonitor costs: a search step with it and without it, in turn, on one supernet.

    python performance/monitor_overhead.py --cells 5 --pairs 7 --json

One thread, CPU seconds. Two figures: the ratio of alternating steps, which other work on the
machine blurs by several percent, and the time spent inside the monitor's own code. The end of an
epoch (record, truth, pictures) is timed apart and spread over the epoch's steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from stepping import Stepper, add_size, alternate, options_of, our_stepper, random_batches

from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.monitor.notes import StepNotes
from nni_wiring.monitor.taps import Site
from nni_wiring.monitor.tensorboard import PICTURES, TensorBoardSink
from nni_wiring.truth import TruthTable, load_table
from search_spaces.nni_api import TensorBoardLogger

#: The full protocol: 25,000 images at 64 a batch, 50 epochs.
STEPS, EPOCHS = 390, 50


@contextmanager
def time_inside(spent: list[float]) -> Iterator[None]:
    """Add to ``spent`` the CPU seconds of every call into the monitor's code during a step."""
    places: list[tuple[Any, str]] = [
        (WiringMonitor, "on_train_batch_start"),
        (WiringMonitor, "on_train_batch_end"),
        (WiringMonitor, "_enter"),
        (WiringMonitor, "_leave"),
        (Site, "watch"),
        (StepNotes, "note_cost"),
    ]

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.process_time()
            try:
                return call(*arguments)
            finally:
                spent.append(time.process_time() - start)

        return run

    originals = [getattr(owner, name) for owner, name in places]
    for (owner, name), call in zip(places, originals, strict=True):
        setattr(owner, name, timed(call))
    try:
        yield
    finally:
        for (owner, name), call in zip(places, originals, strict=True):
            setattr(owner, name, call)


def monitored_step(stepper: Stepper, monitor: WiringMonitor) -> None:
    """A step as Lightning runs it with the monitor attached."""
    monitor.on_train_batch_start(stepper.trainer, stepper.module, stepper.batch, 1)
    stepper.step()
    monitor.on_train_batch_end(stepper.trainer, stepper.module, None, stepper.batch, 1)


@contextmanager
def attached(monitor: WiringMonitor, stepper: Stepper) -> Iterator[None]:
    """Attach the monitor for a while."""
    monitor.on_fit_start(stepper.trainer, stepper.module)
    monitor.on_train_epoch_start(stepper.trainer, stepper.module)
    try:
        yield
    finally:
        monitor.remove()


def epoch_end_seconds(stepper: Stepper, truth: TruthTable) -> dict[str, float]:
    """CPU seconds of one epoch's end: the record alone, and with all pictures."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        logger = TensorBoardLogger(folder)
        sink = TensorBoardSink(logger, truth, "cifar10", epochs=1)
        for name, sinks in {"record": [], "with_pictures": [sink]}.items():
            monitor = WiringMonitor(truth, sinks=sinks)
            times = []
            with attached(monitor, stepper):
                for _ in range(4):  # the first pays for imports and fonts
                    monitored_step(stepper, monitor)
                    cpu = time.process_time()
                    monitor.on_train_epoch_end(stepper.trainer, stepper.module)
                    times.append(time.process_time() - cpu)
            found[name] = statistics.median(times[1:])
        logger.experiment.close()  # its writer's thread still writes into the folder
    return found


def measure(options: dict[str, Any], pairs: int) -> dict[str, Any]:
    """The figures that ``--json`` prints."""
    stepper = our_stepper(random_batches(options["batch_size"], 32), **options)
    truth = load_table("bundled")
    monitor = WiringMonitor(truth)
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for turn in range(pairs + 1):
        without = alternate({"": stepper.step}, rounds=1, warmup=0)[""]["cpu"][0]
        with attached(monitor, stepper):
            watched = alternate({"": lambda: monitored_step(stepper, monitor)}, 1, 0)[""]["cpu"][0]
        if turn:  # the first pair warms up
            seconds["without"].append(without)
            seconds["with"].append(watched)
    spent: list[float] = []
    with attached(monitor, stepper), time_inside(spent):
        monitored_step(stepper, monitor)
    step = statistics.median(seconds["without"])
    ends = epoch_end_seconds(stepper, truth)
    pictures = (ends["with_pictures"] - ends["record"]) * PICTURES / EPOCHS
    return {
        "threads": torch.get_num_threads(),
        **options,
        "pairs": pairs,
        "cpu_seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": statistics.median(
            b / a for a, b in zip(seconds["without"], seconds["with"], strict=True)
        ),
        "inside_seconds": sum(spent),
        "inside_share": sum(spent) / step,
        "epoch_end_seconds": ends,
        "epoch_end_share": (ends["record"] + pictures) / (STEPS * step),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_size(parser)
    parser.add_argument("--pairs", type=int, default=7, help="timed pairs of steps")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(options_of(given), given.pairs)
    if given.json:
        print(json.dumps(result))
        return
    seconds = result["cpu_seconds"]
    print(f"step without monitor {seconds['without']:.3f} s CPU, with {seconds['with']:.3f} s")
    print(f"ratio {result['ratio']:.4f} (median of {given.pairs} alternating pairs)")
    print(f"inside the monitor's own code {100 * result['inside_share']:.3f} % of a step")
    print(f"the ends of epochs {100 * result['epoch_end_share']:.3f} % of {STEPS} steps")


if __name__ == "__main__":
    main()
