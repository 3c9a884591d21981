"""Several seeds at once against one after the other; and the design that was not taken.

    python performance/seeds.py --seeds 4 --cells 1 --steps 20 --rounds 3 --json

Whole searches of one epoch on random images, first-order DARTS, wall and CPU seconds: all seeds at
once (``run_seeds``), one after the other with the same number of threads each, and one after the
other with all cores each. Then one 3x3 convolution over three edges, forward and backward, of so
many supernets: each on its own, or stacked into one grouped convolution. On a GPU: --device cuda.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from stepping import add_size, alternate, options_of, write_images
from torch import nn

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import RunConfig, make_config, make_configs
from nni_wiring.search.run import run_search
from nni_wiring.search.seeds import Seed, run_seeds, share_of_cores

#: Channels, images per batch, side in pixels: the stages of the protocol, and two smaller.
CONVOLUTIONS = ((16, 64, 32), (32, 64, 16), (16, 16, 32), (4, 16, 8))
EDGES = 3


def configs_of(given: argparse.Namespace, images: Path) -> list[RunConfig]:
    """A config a seed; half of the images are enough for all steps of the epoch."""
    return make_configs(
        {
            "seeds": list(range(1, given.seeds + 1)),
            "data": f"npz:{images}",
            "epochs": 1,
            **options_of(given),
            "max_steps": given.steps,
            "threads": given.threads,
        }
    )


def new_folders(configs: list[RunConfig], root: Path) -> list[Seed]:
    """A run folder for each config, in a fresh folder."""
    path = Path(tempfile.mkdtemp(dir=root))
    names = [f"s{config.seed}" for config in configs]
    return [
        Seed(config, RunFolder.create(path / name, name, config.flat()))
        for config, name in zip(configs, names, strict=True)
    ]


def at_once(configs: list[RunConfig], root: Path) -> None:
    """All seeds side by side; raises where one fails."""
    for outcome in run_seeds(new_folders(configs, root)):
        if outcome.error is not None:
            raise outcome.error


def in_turn(configs: list[RunConfig], root: Path, threads: int) -> None:
    """One seed after the other, each with so many threads."""
    own = [make_config(config.flat() | {"threads": threads}) for config in configs]
    for config, folder in new_folders(own, root):
        run_search(config, folder)


def seconds_of(call: Callable[[], None]) -> dict[str, float]:
    """Wall and CPU seconds of a call; searches wait for their device themselves."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_searches(given: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of the three ways, which take turns; the first turn warms up."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(root / "images.npz", 2 * given.batch * given.steps + 40)
        configs = configs_of(given, root / "images.npz")
        together, threads = share_of_cores(configs[0], len(configs))
        ways: dict[str, Callable[[], None]] = {
            "at_once": lambda: at_once(configs, root),
            "in_turn": lambda: in_turn(configs, root, threads),
            "in_turn_all_cores": lambda: in_turn(configs, root, torch.get_num_threads()),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for turn in range(given.rounds + 1):
            for name, way in ways.items():
                seconds = seconds_of(way)
                if turn:
                    found[name].append(seconds)
    medians = {
        name: {clock: statistics.median(s[clock] for s in times) for clock in ("wall", "cpu")}
        for name, times in found.items()
    }
    return {
        "at_once": together,
        "threads": threads,
        "all_cores": torch.get_num_threads(),
        "seconds": medians,
        "rounds": found,
    }


def convolution_steps(
    count: int, channels: int, batch: int, side: int, device: str
) -> dict[str, Callable[[], None]]:
    """The convolution of ``count`` supernets, over three edges that share their input: forward and
    backward to weights and input.
    """

    def step(layers: list[nn.Conv2d], width: int, layout: torch.memory_format) -> Any:
        layers = [layer.to(memory_format=layout) for layer in layers]
        inputs = [
            torch.randn(batch, width, side, side, device=device)
            .to(memory_format=layout)
            .requires_grad_()
            for _ in layers
        ]
        upstream = [torch.randn_like(layer(x)) for layer, x in zip(layers, inputs, strict=True)]

        def run() -> None:
            for layer, x, gradient in zip(layers, inputs, upstream, strict=True):
                torch.autograd.grad(layer(x), [x, layer.weight], gradient)

        return run

    def convolution(groups: int) -> nn.Conv2d:
        width = groups * channels
        made = nn.Conv2d(width, EDGES * width, 3, padding=1, groups=groups, bias=False)
        return made.to(device)

    return {
        "separate": step([convolution(1) for _ in range(count)], channels, torch.channels_last),
        "grouped_channels_last": step([convolution(count)], count * channels, torch.channels_last),
        "grouped_nchw": step([convolution(count)], count * channels, torch.contiguous_format),
    }


def measure_convolutions(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Median milliseconds of each way at each size, on one thread of the CPU or on the GPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    for channels, batch, side in CONVOLUTIONS:
        steps = convolution_steps(given.seeds, channels, batch, side, given.device)
        seconds = alternate(steps, given.convolution_rounds).medians("wall")
        ms = {name: 1000 * value for name, value in seconds.items()}
        rows.append({"channels": channels, "batch": batch, "side": side, "ms": ms})
    torch.set_num_threads(before)
    return rows


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="how many seeds")
    add_size(parser, cells=1)
    parser.add_argument("--steps", type=int, default=20, help="steps of the one epoch")
    parser.add_argument("--threads", type=int, help="CPU threads a search; default: its share")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to run")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of the searches")
    parser.add_argument("--convolution-rounds", type=int, default=10, help="of the convolutions")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def main() -> None:
    """Print the figures."""
    given = arguments()
    searches = measure_searches(given)
    convolutions = measure_convolutions(given)
    if given.json:
        size = {name: getattr(given, name) for name in ("cells", "channels", "batch", "steps")}
        options = {"seeds": given.seeds, "device": given.device, **size}
        print(json.dumps({**options, "searches": searches, "convolutions": convolutions}))
        return
    print(
        f"{given.seeds} searches, {searches['at_once']} at once, {searches['threads']} threads each"
    )
    print(f"{'':24s} {'wall s':>8s} {'CPU s':>8s}")
    for name, seconds in searches["seconds"].items():
        print(f"{name:24s} {seconds['wall']:8.2f} {seconds['cpu']:8.2f}")
    print(f"\nconvolution of {given.seeds} supernets over {EDGES} edges, ms")
    print("  C batch side " + "".join(f"{name:>24s}" for name in convolutions[0]["ms"]))
    for row in convolutions:
        sizes = f"{row['channels']:3d} {row['batch']:5d} {row['side']:4d} "
        print(sizes + "".join(f"{ms:24.1f}" for ms in row["ms"].values()))


if __name__ == "__main__":
    main()
