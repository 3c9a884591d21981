from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nni_wiring.errors import BenchmarkError, ConfigError
from nni_wiring.truth import TruthTable, load_table
from nni_wiring.truth.importer import import_table
from nni_wiring.tuners.samplers import Cell, Sampler
from nni_wiring.tuners.simulate import (
    Budget,
    make_task,
    parse_budget,
    run_baseline,
    run_search,
)
from search_spaces.cell_graph import cell_code


@pytest.fixture(scope="module")
def v11(shared_data: Path) -> TruthTable:
    import_table(shared_data / "nb201_truth.csv.gz", "v11", make_default=False)
    return load_table("v11")


class Fixed(Sampler):
    """Asks for given cells in turn."""

    name = "fixed"

    def __init__(self, cells: list[Cell]) -> None:
        super().__init__()
        self.cells = list(cells)
        self.told: list[tuple[Cell, float]] = []

    def ask(self) -> Cell:
        return self.cells.pop(0)

    def tell(self, cell: Cell, value: float) -> None:
        self.told.append((cell, value))


def test_a_search_pays_for_the_short_training_and_stops_at_the_budget(
    v11: TruthTable, truth: pd.DataFrame
) -> None:
    rows = [6111, 0, 857, 9930, 5]
    cells = [tuple(int(digit) for digit in truth.ops[row]) for row in rows]
    costs = (truth.train_s200_cifar10valid[rows] * 12 / 200).cumsum().tolist()
    sampler = Fixed(cells)
    budget = Budget(costs[3] + 0.01, "seconds")
    search = run_search(sampler, make_task(v11, "cifar10"), budget)
    assert search.evaluations == 4
    assert search.seconds == pytest.approx(costs[3], rel=1e-5)
    signals = truth.e12_cifar10valid_val[rows[:4]].to_numpy()
    np.testing.assert_allclose([value for _, value in sampler.told], signals, rtol=1e-6)
    records = [i for i in range(4) if signals[i] == signals[: i + 1].max()]
    assert search.codes == [int(cell_code(np.array(cells[i]))) for i in records]
    np.testing.assert_allclose(search.at, [costs[i] for i in records], rtol=1e-5)


def test_a_budget_in_evaluations(v11: TruthTable) -> None:
    one = run_baseline("random", make_task(v11, "cifar100"), Budget(37, "evaluations"), 3, 0)
    assert one.evaluations == 37
    assert one.grid[-1] == 37 and (one.grid == np.round(one.grid)).all()


def test_the_regret_falls_and_ends_at_the_scores(v11: TruthTable) -> None:
    task = make_task(v11, "cifar10", signal_epochs=200)
    one = run_baseline("evolution", task, Budget(200, "evaluations"), 20, 1)
    lower, median, upper = one.quartiles
    assert (lower <= median).all() and (median <= upper).all()
    assert median[-1] == pytest.approx(np.median(task.best - one.scores))
    assert median[-1] < median[5]
    assert one.summary()["mean"] == pytest.approx(one.scores.mean(), abs=1e-4)


def test_random_search_equals_the_best_of_n_uniform_draws() -> None:
    table = load_table("bundled")
    task = make_task(table, "cifar10")
    assert (task.split, task.signal_epochs) == ("valid", 200)
    one = run_baseline("random", task, Budget(20, "evaluations"), 2000, 3)
    # E[max of 20 draws] from the order statistics of the table
    values = np.sort(table.values("cifar10", "valid").astype(np.float64))
    cdf = np.arange(1, len(values) + 1) / len(values)
    expected = float((values * np.diff(cdf**20, prepend=0.0)).sum())
    assert one.scores.mean() == pytest.approx(expected, abs=4 * one.scores.std() / 2000**0.5)


def test_the_paper_s_protocol_lands_near_its_figures(v11: TruthTable) -> None:
    """NB201 reports 93.70 +- .36 (random) and 93.92 +- .30 (REA): within two deviations."""
    task = make_task(v11, "cifar10")
    for method, mean, std in (("random", 93.70, 0.36), ("evolution", 93.92, 0.30)):
        one = run_baseline(method, task, parse_budget("12000s"), 40, 1)
        assert abs(one.scores.mean() - mean) < 2 * std


def test_the_seed_decides(v11: TruthTable) -> None:
    task = make_task(v11, "imagenet16")
    scores = [
        run_baseline("evolution", task, Budget(30, "evaluations"), 4, seed).scores
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()


@pytest.mark.parametrize("text", ["", "s", "-3", "0", "1.5", "nan", "infs", "nans", "12 min"])
def test_a_budget_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="budget"):
        parse_budget(text)


def test_budgets() -> None:
    assert parse_budget("12000s") == (12000.0, "seconds")
    assert parse_budget("500") == (500.0, "evaluations")


def test_what_cannot_be_run() -> None:
    task = make_task(load_table("bundled"), "cifar10")
    with pytest.raises(ConfigError, match="not one evaluation"):
        run_baseline("random", task, Budget(1.0, "seconds"), 2, 0)
    with pytest.raises(ConfigError, match="unknown method"):
        run_baseline("magic", task, Budget(5, "evaluations"), 2, 0)
    with pytest.raises(BenchmarkError, match="valid@12"):
        make_task(load_table("bundled"), "cifar10", signal_epochs=12)
