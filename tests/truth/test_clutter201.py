"""The table that ships, against the rows of its trainings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.truth import load_table
from nni_wiring.truth.archive import SHIPPED
from search_spaces.cell_codes import NASBENCH201
from search_spaces.uniqueness import exact_class

ROWS = Path(__file__).resolve().parents[2] / "docs" / "results" / "clutter201" / "rows.jsonl.gz"


def test_every_cell_has_the_values_of_its_class_seed_by_seed() -> None:
    table = load_table("clutter201")
    seeds = table.metric("clutter", "valid", 6).known_seeds()
    kept = {}
    for line in gzip.decompress(ROWS.read_bytes()).decode().splitlines():
        row = json.loads(line)
        if row["seed"] in seeds:
            kept[row["code"], row["seed"]] = row["accuracy"]
    classes = exact_class(NASBENCH201.cells)
    first = {number: code for code, number in reversed([*enumerate(classes.tolist())])}
    own = [first[number] for number in classes[table.codes].tolist()]
    assert len(own) == 15625 and len(kept) == 5260 * len(seeds)
    for epochs in (2, 3, 6):
        for part in ("valid", "test"):
            columns = []
            for seed in seeds:
                expected = [kept[code, seed][str(epochs)][part] for code in own]
                columns.append(table.values("clutter", part, epochs, seed=seed))
                np.testing.assert_allclose(columns[-1], expected, atol=1e-4)
            mean = np.mean(columns, axis=0)
            np.testing.assert_allclose(table.values("clutter", part, epochs), mean, atol=1e-4)


def test_it_is_small_and_its_cells_are_told_apart() -> None:
    assert (SHIPPED / "clutter201.npz").stat().st_size < 300_000
    table = load_table("clutter201")
    accuracy = table.values("clutter", "test")
    chance = accuracy[(table.operations == 0).all(axis=1)]
    assert chance == pytest.approx(10, abs=1)  # the cell of six none cannot learn
    assert (
        accuracy.max() < 95 and np.corrcoef(accuracy, table.values("clutter", "valid"))[0, 1] > 0.9
    )
    bundled = load_table("bundled")
    assert [table.arch(k) for k in range(0, 15625, 501)] == [
        bundled.arch(k) for k in range(0, 15625, 501)
    ]
