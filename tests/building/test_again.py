"""Cells of a table trained again: the trainings of a larger build, and drawn accuracies whose
agreement is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tiny_truths import NINE, options

from nni_wiring.building.again import compare, known_trainings, sample, train_again
from nni_wiring.building.finish import finish
from nni_wiring.building.folder import BuildFolder, build_path
from nni_wiring.building.plan import Unit
from nni_wiring.building.work import run_build
from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.catalogue import forget, load_table
from nni_wiring.truth.table import TruthTable


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    yield
    forget()


def built(folder: Path, name: str, seeds: str) -> tuple[BuildFolder, TruthTable]:
    build = BuildFolder.at(build_path(name), name, options(folder, NINE[2:7], seeds=seeds))
    run_build(build)
    finish(build, name)
    return build, load_table(name)


def test_a_new_seed_is_that_of_a_larger_build(tmp_path: Path) -> None:
    _, table = built(tmp_path, "two", "1,2")
    larger, third = built(tmp_path, "third", "3")
    cells = sample(table, 4, 0)
    assert len(set(cells)) == 4 and {table.arch(i) for i in cells} <= set(NINE[2:7])
    assert sample(table, 32, 1) != sample(table, 32, 2)  # five, in another order
    new = train_again(table, cells, [3] * len(cells))
    rows = larger.rows()
    for place, index in enumerate(cells):
        row = rows[Unit(int(table.codes[index]), 3)]
        assert {part: new[part][place] for part in new} == row.accuracy[3]
        for part in new:
            pair = [table.values("grey", part, seed=seed)[index] for seed in (1, 2)]
            assert known_trainings(table, cells, part)[:, place].tolist() == pair
    with pytest.raises(BenchmarkError, match="seed 2: table 'two' has it.*: 1, 2"):
        train_again(table, cells, [7] * (len(cells) - 1) + [2])
    with pytest.raises(BenchmarkError, match="'third' has one seed"):
        sample(third, 4, 0)
    with pytest.raises(BenchmarkError, match="'bundled' was not built here"):
        sample(load_table("bundled"), 4, 0)


def test_the_permutations_are_those_that_one_can_list() -> None:
    """Three cells with two seeds each have 27 permutations."""
    rng = np.random.default_rng(5)
    known, new = rng.normal(60, 3, (2, 3)), rng.normal(62, 3, 3)
    found = compare(known, new)
    shifts, distances = [], []
    for places in product(range(3), repeat=3):
        differences = []
        for cell, place in enumerate(places):
            three = [new[cell], *known[:, cell]]
            one = three.pop(place)
            differences.append(one - sum(three) / 2)
        shifts.append(abs(sum(differences) / 3))
        distances.append(sum(d * d for d in differences) / 3)
    own = [new[cell] - known[:, cell].mean() for cell in range(3)]
    assert found.shift == pytest.approx(np.mean(own))
    assert found.distance == pytest.approx(np.sqrt(np.mean(np.square(own))))
    share = np.mean([shift >= abs(np.mean(own)) - 1e-9 for shift in shifts])
    assert found.p_shift == pytest.approx(share, abs=0.015)  # 4 deviations of 20,000 draws
    share = np.mean([one >= np.mean(np.square(own)) - 1e-9 for one in distances])
    assert found.p_distance == pytest.approx(share, abs=0.015)


def test_one_more_seed_agrees_and_another_training_does_not() -> None:
    rng = np.random.default_rng(1)
    noise = rng.uniform(0.5, 6, 32)  # of every cell its own
    means = rng.uniform(40, 80, 32)
    held = [
        compare(means + noise * rng.normal(size=(2, 32)), means + noise * rng.normal(size=32))
        for _ in range(60)
    ]
    assert sum(not one.holds(0.05) for one in held) <= 14  # at most .1 each: 6, and 3.4 deviations
    assert np.mean([o.distance**2 / o.expected**2 for o in held]) == pytest.approx(1, abs=0.25)
    known = means + noise * rng.normal(size=(2, 32))
    assert not compare(known, means + 5 + noise * rng.normal(size=32)).holds()
    assert not compare(known, means + 5 * noise * rng.normal(size=32)).holds()
