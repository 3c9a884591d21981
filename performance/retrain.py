"""Random cells of a built table trained again by `train`, and held against its stated noise.

    python performance/retrain.py --benchmark clutter201 --cells 32

Draws cells of different exact classes, trains each once with a seed of its own that the table has
not (the first: default the one after its last), from scratch with the table's own options by torch,
and asks whether the new accuracies are what one more of the table's seeds would be: by their mean
difference and by its size, the new training changing places with the known ones of its cell. Ends
with 1 where one of the two is less probable than .01 on one of the parts.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from nni_wiring.building.again import (
    compare,
    known_trainings,
    sample,
    settings_of,
    train_again,
)
from nni_wiring.errors import WiringError
from nni_wiring.truth import load_table


def retrain(name: str, cells: int, seed: int | None, draw_seed: int) -> dict[str, Any]:
    """The agreement by part of the held-out images, and the cells that diverged."""
    table = load_table(name)
    chosen = sample(table, cells, draw_seed)
    own = max(settings_of(table)["seeds"]) + 1 if seed is None else seed
    found: dict[str, Any] = {"table": name, "seed": own, "diverged": 0, "parts": {}}
    for part, new in train_again(table, chosen, range(own, own + len(chosen))).items():
        good = np.isfinite(new)
        found["diverged"] = int((~good).sum())
        if good.any():
            agreement = compare(known_trainings(table, chosen, part)[:, good], new[good])
            found["parts"][part] = asdict(agreement) | {"holds": agreement.holds()}
    return found


def main() -> None:
    """Print the figures, as text or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", required=True, help="a table of `benchmark build`")
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--seed", type=int, help="of the first new training")
    parser.add_argument("--draw-seed", type=int, default=0, help="of the choice of cells")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        found = retrain(given.benchmark, given.cells, given.seed, given.draw_seed)
    except WiringError as error:
        sys.exit(f"error: {error}")
    if given.json:
        print(json.dumps(found))
    else:
        print(
            f"table {found['table']}, new seeds from {found['seed']} on, "
            f"{found['diverged']} diverged"
        )
        for part, one in found["parts"].items():
            print(
                f"{part}: {one['cells']} cells against {one['seeds']} seeds; mean difference "
                f"{one['shift']:+.2f} points (p {one['p_shift']:.3f}); rms {one['distance']:.2f}, "
                f"expected {one['expected']:.2f} (p {one['p_distance']:.3f}): "
                f"{'agrees' if one['holds'] else 'DISAGREES'}"
            )
    if not all(one["holds"] for one in found["parts"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
