"""What bounds a search step: the kernels that take the most time, by torch's profiler.

    python benchmarks/profile_step.py --cells 1 --json
    python benchmarks/profile_step.py --device cuda --precision bf16 --cuda-graphs

Calls are operators on the CPU and kernels on a GPU, where ``busy_share`` is the time in kernels
over the time that passed: below 1 the device waits for the host.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from stepping import our_stepper, random_batches
from torch.profiler import ProfilerActivity, profile

from nni_wiring.strategies.gradient_graphs import WARM_UP_STEPS


def wait() -> None:
    """For the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(options: dict[str, Any], steps: int, rows: int) -> dict[str, Any]:
    """The figures that ``--json`` prints; times are milliseconds a step."""
    stepper = our_stepper(random_batches(options["batch_size"], 32), **options)
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
    parser.add_argument("--cells", type=int, default=5, help="cells a stage (N)")
    parser.add_argument("--channels", type=int, default=16, help="channels of the first stage (C)")
    parser.add_argument("--batch", type=int, default=64, help="images a batch")
    parser.add_argument("--steps", type=int, default=3, help="profiled steps")
    parser.add_argument("--rows", type=int, default=15, help="kernels to list")
    parser.add_argument("--supernet", choices=["plain", "fused"], default="fused")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to run")
    parser.add_argument("--precision", choices=["float32", "tf32", "bf16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="compiled cells")
    parser.add_argument("--cuda-graphs", action="store_true", help="gradients as CUDA graphs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = ("cells", "channels", "supernet", "device", "precision", "compile", "cuda_graphs")
    options = {name: getattr(given, name) for name in names} | {"batch_size": given.batch}
    result = measure(options, given.steps, given.rows)
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
