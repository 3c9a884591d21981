"""What a search spends around its steps: loader, augmentation, Lightning, logging, monitor.

    python performance/loop_overhead.py --cells 5 --steps 20 --json

A whole search (``run_search``: run folder, TensorBoard, monitor, checkpoint) is run on random
32x32 images for two epochs. Of the second: seconds from the epoch's start to its last batch's end,
against the seconds inside ``SearchModule.search_step``, which are the gradient steps themselves.
``share`` is (all - inside) / inside. What ends an epoch (record, pictures, checkpoint) is apart, in
seconds and as a share of ``--epoch-steps`` steps. CPU seconds of one thread; with ``--device cuda``
wall seconds, and ``host_seconds``, what the host takes to send a step off without waiting for it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from stepping import add_device, add_size, add_speed, options_of, write_images

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.strategies.engine.search_module import SearchModule
from search_spaces.nni_api import pl


class Clock(pl.Callback):
    """Times the last epoch of a search. waits: for the device at every reading."""

    def __init__(self, waits: bool) -> None:
        self.waits = waits
        self.inside = self.batches = self.end = self._start = self._last = 0.0

    def read(self) -> float:
        """CPU seconds of this process, or wall seconds where a device computes."""
        if not torch.cuda.is_available():
            return time.process_time()
        if self.waits:
            torch.cuda.synchronize()
        return time.perf_counter()

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Time the gradient steps."""
        assert isinstance(pl_module, SearchModule)
        step = pl_module.search_step

        def timed(*arguments: Any) -> None:
            start = self.read()
            step(*arguments)
            self.inside += self.read() - start

        pl_module.search_step = timed  # type: ignore[method-assign]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start anew: the last epoch counts."""
        self.inside, self._start = 0.0, self.read()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """The end of the last batch is the end of the steps."""
        self._last = self.read()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The end of the last epoch."""
        self.batches, self.end = self._last - self._start, self.read() - self._last


def search(options: dict[str, Any], steps: int, waits: bool) -> Clock:
    """Run the search in a folder of its own."""
    clock = Clock(waits)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "noise.npz"
        write_images(images, 2 * steps * options["batch_size"])
        config = make_config({**options, "data": f"npz:{images}", "epochs": 2, "max_steps": steps})
        run = RunFolder.create(Path(folder) / "run", "run", config.flat())
        run_search(config, run, probes=[clock])
    return clock


def measure(options: dict[str, Any], steps: int, epoch_steps: int) -> dict[str, Any]:
    """The figures that ``--json`` prints."""
    clock = search(options, steps, waits=True)
    step = clock.batches / steps
    found = {
        "threads": torch.get_num_threads(),
        **options,
        "steps": steps,
        "step_seconds": step,
        "inside_seconds": clock.inside / steps,
        "share": (clock.batches - clock.inside) / clock.inside,
        "epoch_end_seconds": clock.end,
        "epoch_end_share": clock.end / (epoch_steps * step),
    }
    if torch.cuda.is_available():
        free = search(options, steps, waits=False)
        found["host_seconds"] = free.batches / steps
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_size(parser)
    parser.add_argument("--steps", type=int, default=20, help="steps of each of the two epochs")
    parser.add_argument("--epoch-steps", type=int, default=390, help="steps of a real epoch")
    add_device(parser)
    add_speed(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def main() -> None:
    """Print the figures."""
    given = arguments()
    torch.set_num_threads(1)
    result = measure(options_of(given), given.steps, given.epoch_steps)
    if given.json:
        print(json.dumps(result))
        return
    print(
        f"a step {result['step_seconds']:.4f} s, of it gradients {result['inside_seconds']:.4f} s"
    )
    print(f"the loop around them {100 * result['share']:.2f} % of them")
    end, share = result["epoch_end_seconds"], result["epoch_end_share"]
    print(f"the end of an epoch {end:.3f} s, {100 * share:.2f} % of {given.epoch_steps} steps")
    if "host_seconds" in result:
        print(f"the host alone {result['host_seconds']:.4f} s per step")


if __name__ == "__main__":
    main()
