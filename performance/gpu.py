"""Everything that is to be measured on a GPU, by one command.

    python performance/gpu.py --data cifar10 --data-dir data --out gpu.json

In order, each in a process of its own: the search step in three precisions against NNI's hub
supernet (aim: 8 times as fast); what the loop around it adds (aim: below 10 %); what bounds it; the
full protocol of DARTS-V1 (N=5, C=16, batch 64, 25,000 + 25,000 images, 50 epochs, monitor on; aim:
5 minutes) in the fastest variant and precision; and four seeds at once.
``--out`` is written after each, so that what is cut off loses only itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
PRECISIONS = ("float32", "tf32", "bf16")


def told(script: str, *options: str) -> Any:
    """What a benchmark prints with --json, or {"error": its last line}."""
    command = [sys.executable, "-W", "ignore", str(HERE / script), *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["-"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def steps(rounds: int) -> dict[str, Any]:
    """``search_step.py`` by precision."""
    common = ("--device", "cuda", "--rounds", str(rounds))
    return {name: told("search_step.py", *common, "--precision", name) for name in PRECISIONS}


def fastest(found: dict[str, Any]) -> tuple[str, str]:
    """(precision, variant of ours) of the shortest step."""
    times = {
        (precision, variant): seconds
        for precision, result in found.items()
        for variant, seconds in result.get("seconds", {}).items()
        if variant.startswith("fused")
    }
    return min(times, key=times.__getitem__) if times else ("float32", "fused")


def flags(variant: str) -> list[str]:
    """The options of ``loop_overhead.py`` and ``profile_step.py`` that make a variant."""
    return [
        *(["--compile"] if "compiled" in variant else []),
        *(["--cuda-graphs"] if "graphs" in variant else []),
    ]


def protocol(given: argparse.Namespace, precision: str, variant: str) -> dict[str, Any]:
    """DARTS-V1 at full protocol through the CLI; minutes, and the cell it finds."""
    settings = {
        "data_dir": given.data_dir,
        "device": "cuda",
        "precision": precision,
        "compile": str("compiled" in variant).lower(),
        "cuda_graphs": str("graphs" in variant).lower(),
    }
    command = [sys.executable, "cli.py", "search", "--data", given.data, "--json"]
    command += ["--strategy", "darts", "--epochs", str(given.epochs)]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    minutes = (time.perf_counter() - start) / 60
    if done.returncode:
        return {"minutes": minutes, "error": (done.stderr.strip().splitlines() or ["-"])[-1]}
    result = json.loads(done.stdout)
    kept = {name: result[name] for name in ("run_id", "arch", "default")}
    return {"minutes": minutes, "settings": settings, **kept}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar10", help="data of the full protocol")
    parser.add_argument("--data-dir", default="data", help="where it lies")
    parser.add_argument("--epochs", type=int, default=50, help="epochs of the full protocol")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds of the steps")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="where to write")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("gpu.py: no CUDA device; search_step.py and the others measure on the CPU")
    found: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        found[name] = value
        given.out.write_text(json.dumps(found, indent=1))
        print(name, json.dumps(value)[:400], flush=True)

    keep("steps", steps(given.rounds))
    precision, variant = fastest(found["steps"])
    keep("fastest", {"precision": precision, "variant": variant})
    on = ["--device", "cuda", "--precision", precision, *flags(variant)]
    keep("loop", told("loop_overhead.py", *on, "--steps", "100"))
    keep("profile", told("profile_step.py", *on))
    keep("protocol", protocol(given, precision, variant))
    keep("seeds", told("seeds.py", "--device", "cuda", "--seeds", "4", "--cells", "5"))


if __name__ == "__main__":
    main()
