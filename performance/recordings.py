"""Six epochs of every strategy on digits, recorded; two recordings compared bit for bit.

    python performance/recordings.py record FOLDER [--code CHECKOUT] [NAME ...]
    python performance/recordings.py compare FOLDER FOLDER

One thread, on the CPU. To hold a change against the version before it: record both on the same
machine and compare. What is kept of a run: alphas, p(alpha), costs, losses, the cell of every
epoch, and the result's cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIZE = {"channels": 8, "cells": 1, "epochs": 6, "threads": 1}
KEPT = ("epoch", "alpha", "z", "cost", "loss", "entropy", "accuracy", "arch", "truth", "pattern")
STRATEGIES = (
    "darts",
    "darts_fixed_alpha",
    "snas",
    "dsnas",
    "gdas",
    "proxylessnas",
    "fair_darts",
    "darts_plus",
    "pc_darts",
    "drnas",
    "sdarts_rs",
    "sdarts_adv",
    "sgas",
    "random_sampling",
    "enas",
)
#: name -> (strategy, options): what the defaults leave unseen.
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "darts-order2": ("darts", {"order": 2}),
    "darts-single": ("darts", {"optimisation": "single_level"}),
    "darts-warmup": ("darts", {"warmup_epochs": 2}),
    "darts-perturbation": (
        "darts",
        {"selection": "perturbation", "selection_settings": {"tune_epochs": 6, "max_steps": 3}},
    ),
    "drnas-progressive": (
        "drnas",
        {"partial_channels": [4, 2], "keep_operations": [5, 3], "regularisation": "kl"},
    ),
    "sgas-2": ("sgas", {"criterion": 2}),
    "dsnas-minimal": ("dsnas", {"space": "nasbench201_minimal", "head": "bias_free"}),
}


def cases() -> dict[str, tuple[str, dict[str, object]]]:
    """Every recording: its strategy and options."""
    return {**{name: (name, {}) for name in STRATEGIES}, **VARIANTS}


def record(code: Path, target: Path, names: list[str]) -> None:
    """Search once for every case; one JSON file each under ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names or list(cases()):
        strategy, options = cases()[name]
        with tempfile.TemporaryDirectory() as runs:
            run(code, Path(runs), strategy, options)
            (folder,) = [path.parent for path in Path(runs).glob("*/run.json")]
            lines = (folder / "epochs.jsonl").read_text().splitlines()
            epochs = [{k: json.loads(line).get(k) for k in KEPT} for line in lines]
            arch = json.loads((folder / "result.json").read_text())["arch"]
        (target / f"{name}.json").write_text(json.dumps({"epochs": epochs, "arch": arch}))
        print(name, "recorded", flush=True)


def run(code: Path, runs: Path, strategy: str, options: dict[str, object]) -> None:
    """One search of the checkout ``code`` into the folder ``runs``."""
    settings = [f"--set={key}={json.dumps(value)}" for key, value in {**SIZE, **options}.items()]
    environment = {**os.environ, "NNI_WIRING_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(code)
    command = [sys.executable, str(code / "cli.py"), "search", "--strategy", strategy]
    subprocess.run([*command, "--seed", "1", *settings], env=environment, check=True, stdout=2)


def compare(one: Path, two: Path) -> int:
    """Print what differs; the number of cases that do."""
    different = 0
    for name in cases():
        found = [read(folder / f"{name}.json") for folder in (one, two)]
        if found[0] == found[1]:
            print(f"{name}: equal" if found[0] else f"{name}: in neither")
            continue
        different += 1
        print(f"{name}: {first_difference(*found)}")
    return different


def read(path: Path) -> dict[str, Any] | None:
    """A recording, without what versions spell differently; None where there is none."""
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    for epoch in found["epochs"]:
        epoch["truth"] = epoch["truth"]["accuracy"]
    return found


def first_difference(one: dict[str, Any] | None, two: dict[str, Any] | None) -> str:
    """Where two recordings part."""
    if one is None or two is None:
        return "in one only"
    for a, b in zip(one["epochs"], two["epochs"], strict=False):
        parts = [key for key in a if a[key] != b[key]]
        if parts:
            return f"differs from epoch {a['epoch']} on, in {', '.join(parts)}"
    return "differs in its number of epochs or in its final cell"


def main() -> None:
    """See the module."""
    if len(sys.argv) < 3 or sys.argv[1] not in ("record", "compare"):
        print(__doc__)
        raise SystemExit(0 if "--help" in sys.argv else 2)
    action, first, *rest = sys.argv[1:]
    if action == "compare":
        raise SystemExit(min(compare(Path(first), Path(rest[0])), 1))
    code = Path(__file__).resolve().parents[1]
    if rest and rest[0] == "--code":
        code, rest = Path(rest[1]).resolve(), rest[2:]
    record(code, Path(first), rest)


if __name__ == "__main__":
    main()
