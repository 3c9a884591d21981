"""What bounds a search step: the kernels that take the most time, by torch's profiler.

    python performance/profile_step.py --cells 1 --json
    python performance/profile_step.py --device cuda --precision bf16 --cuda-graphs

Calls are operators on the CPU and kernels on a GPU, where ``busy_share`` is the time in kernels
over the time that passed: below 1 the device waits for the host.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from stepping import (
    add_device,
    add_side,
    add_size,
    add_space,
    add_speed,
    options_of,
    our_stepper,
    random_batches,
)
from torch.profiler import ProfilerActivity, profile

from nni_wiring.strategies.engine.gradient_graphs import WARM_UP_STEPS


def wait() -> None:
    """For the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(options: dict[str, Any], steps: int, rows: int, side: int) -> dict[str, Any]:
    """The figures that ``--json`` prints; times are milliseconds per step."""
    stepper = our_stepper(random_batches(options["batch_size"], side), **options)
    for _ in range(WARM_UP_STEPS + 2):
        stepper.step()
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        stepper.step()
    wait()
    wall = (time.perf_counter() - start) / steps
    on_gpu = options["device"] == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as seen:
        for _ in range(steps):
            stepper.step()
        wait()
    times = {
        event.key: (_own_microseconds(event, on_gpu) / 1e3 / steps, event.count / steps)
        for event in seen.key_averages()
    }
    total = sum(ms for ms, _ in times.values())
    largest = sorted(times.items(), key=lambda item: -item[1][0])[:rows]
    return {
        **options,
        "threads": torch.get_num_threads(),
        "step_ms": 1e3 * wall,
        "busy_share": total / (1e3 * wall) if on_gpu else None,
        "calls": sum(count for ms, count in times.values() if ms > 0),
        "kernels": [
            {"name": name, "ms": ms, "share": ms / total, "calls": count}
            for name, (ms, count) in largest
        ],
    }


def _own_microseconds(event: Any, on_gpu: bool) -> float:
    """Of a kernel on the GPU, or of an operator on the CPU without what it calls."""
    if not on_gpu:
        return float(event.self_cpu_time_total)
    if event.device_type == torch.autograd.DeviceType.CPU:
        return 0.0  # its kernels have entries of their own
    return float(getattr(event, "self_device_time_total", 0.0))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_size(parser)
    add_side(parser)
    add_space(parser)
    parser.add_argument("--steps", type=int, default=3, help="profiled steps")
    parser.add_argument("--rows", type=int, default=15, help="kernels to list")
    parser.add_argument("--supernet", choices=["plain", "fused", "auto"], default="fused")
    add_device(parser)
    add_speed(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    options = {**options_of(given), "supernet": given.supernet}
    result = measure(options, given.steps, given.rows, given.side)
    if given.json:
        print(json.dumps(result))
        return
    busy = result["busy_share"]
    print(f"a step {result['step_ms']:.1f} ms, {result['calls']:.0f} calls", end="")
    print("" if busy is None else f", device busy {100 * busy:.0f} % of it")
    for kernel in result["kernels"]:
        share, calls = 100 * kernel["share"], kernel["calls"]
        print(f"{kernel['ms']:9.2f} ms {share:5.1f} % {calls:7.0f} x  {kernel['name']:.70}")


if __name__ == "__main__":
    main()
