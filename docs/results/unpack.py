"""Make run folders of kept rows, so that `analyze`, `explain` and `compare` take them.

    python docs/results/unpack.py darts-s2 darts-s3     # into the folder of all runs, by label

A folder that is there already is left as it is. Checkpoints and event files are not kept.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

from nni_wiring.runs.store import RunFolder, runs_root
from search_spaces.cell_graph import NB201, OPERATIONS

KEPT = Path(__file__).parent / "reference"


def unpack(label: str, root: Path) -> Path:
    """The folder of one kept search below `root`."""
    folder = root / label
    if folder.exists():
        return folder
    kept = json.loads(gzip.decompress((KEPT / f"{label}.json.gz").read_bytes()))
    run = RunFolder.create(folder, label, kept["run"]["config"])
    for epoch in kept["epochs"]:
        run.append_epoch(_in_order(epoch))
    run.write_result(kept["result"])
    run.note(**{name: kept["run"][name] for name in ("created", "git_commit", "versions")})
    run.set_status("finished")
    return folder


def _in_order(value: Any) -> Any:
    """Tables of edges and of operations in the space's order; kept rows are sorted by letter."""
    if not isinstance(value, dict):
        return value
    order = [*NB201.edge_names, *OPERATIONS]
    names = sorted(value, key=lambda name: order.index(name) if name in order else -1)
    return {name: _in_order(value[name]) for name in names}


def main() -> None:
    """Unpack the labels that are asked for."""
    labels = sorted(path.name.removesuffix(".json.gz") for path in KEPT.glob("*.json.gz"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("labels", metavar="LABEL", nargs="+", choices=labels)
    for label in parser.parse_args().labels:
        print(unpack(label, runs_root()))


if __name__ == "__main__":
    main()
