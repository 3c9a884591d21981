"""Search clutter with the main methods and keep each search as one small file, LABEL.json.gz.

    python docs/results/clutter_searches.py --jobs 2 [--seeds 8]    # goes on where it was stopped

One thread a search; the runs lie below $NNI_WIRING_RUNS until they are kept. All else is each
paper's default at the reference size on clutter: the network of clutter201's own trainings, batch
64, 50 epochs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from nni_wiring.studies.sizes import REFERENCE_CLUTTER

KEPT = Path(__file__).parent / "clutter"

SIZE: dict[str, Any] = {**REFERENCE_CLUTTER, "threads": 1, "compile": True}
#: Label -> its options, and the selections that are made on its supernet afterwards.
METHODS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "darts": ({"strategy": "darts"}, ("perturbation",)),
    "fixed": ({"strategy": "darts_fixed_alpha", "selection": "perturbation"}, ()),
    "darts-single": ({"strategy": "darts", "optimisation": "single_level"}, ()),
    "dsnas": ({"strategy": "dsnas", "epochs": 100}, ()),
    "gdas": ({"strategy": "gdas"}, ()),
    "snas": ({"strategy": "snas"}, ()),
    "enas": ({"strategy": "enas"}, ()),
    "random": ({"strategy": "random_sampling"}, ()),
    "pc-darts": ({"strategy": "pc_darts", "compile": False}, ()),
    "drnas": ({"strategy": "drnas"}, ()),
    # the other level of those, and methods that the published rows lack: for the pattern atlas
    "gdas-single": ({"strategy": "gdas", "optimisation": "single_level"}, ()),
    "drnas-single": ({"strategy": "drnas", "optimisation": "single_level"}, ()),
    "snas-bi": ({"strategy": "snas", "optimisation": "bi_level"}, ()),
    "dsnas-bi": ({"strategy": "dsnas", "optimisation": "bi_level", "epochs": 100}, ()),
    "proxylessnas": ({"strategy": "proxylessnas"}, ()),
    "proxylessnas-single": ({"strategy": "proxylessnas", "optimisation": "single_level"}, ()),
    "dnw": ({"strategy": "dnw"}, ()),
    "dnw-bi": ({"strategy": "dnw", "optimisation": "bi_level"}, ()),
    "fair-darts": ({"strategy": "fair_darts"}, ()),
    "sdarts-rs": ({"strategy": "sdarts_rs"}, ()),
    "sgas": ({"strategy": "sgas"}, ()),
}
#: Of these methods' searches from this seed on every epoch has the Hessian's largest eigenvalue.
EIGENVALUE_FROM = {"darts": 9}
#: Fields of an epoch that no study reads.
_LEFT_OUT = ("cost_cells",)


def kept_file(label: str) -> Path:
    """The file of a finished search."""
    return KEPT / f"{label}.json.gz"


def search(task: tuple[str, int]) -> str:
    """Run, go on with or skip one search; its label."""
    from nni_wiring.runs.store import RunFolder, runs_root
    from nni_wiring.search.config import make_config
    from nni_wiring.search.run import run_search
    from nni_wiring.search.selecting import select_again
    from nni_wiring.studies.alpha_curvature import AlphaEigenvalue

    parent = parent_process()
    if parent is not None and not parent.is_alive():  # stopped: another one may go on here
        raise SystemExit
    method, seed = task
    label = f"{method}-s{seed}"
    if kept_file(label).exists():
        return label
    options, selections = METHODS[method]
    config = make_config({**SIZE, **options, "seed": seed})
    path = runs_root() / f"clutter-{label}"
    resume = (path / "run.json").exists()
    folder = RunFolder.open(path) if resume else RunFolder.create(path, label, config.flat())
    if folder.status != "finished":
        first = EIGENVALUE_FROM.get(method)
        measured = [AlphaEigenvalue()] if first is not None and seed >= first else []
        run_search(config, folder, resume=resume, statistics=measured)
    for selection in selections:
        select_again(folder, selection, {}, lambda *done: None)
    keep(folder, label)
    return label


def keep(folder: Any, label: str) -> None:
    """Write the small file of a finished search."""
    epochs = [
        {name: rounded(value) for name, value in epoch.items() if name not in _LEFT_OUT}
        for epoch in folder.epochs()
    ]
    value = {
        "label": label,
        "run": folder.info,
        "result": folder.result(),
        "epochs": epochs,
        "selections": folder.selections(),
    }
    content = gzip.compress(json.dumps(value, sort_keys=True).encode(), 9, mtime=0)
    KEPT.mkdir(exist_ok=True)
    part = kept_file(label).with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, kept_file(label))


def rounded(value: Any) -> Any:
    """Numbers with six digits, which no verdict needs more of."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    """Work through all searches, seed by seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    tasks = [(m, s) for s, m in product(range(1, given.seeds + 1), given.methods)]
    with ProcessPoolExecutor(given.jobs) as pool:
        for label in pool.map(search, tasks):
            print(label, flush=True)


if __name__ == "__main__":
    main()
