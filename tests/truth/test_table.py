from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

from nni_wiring.errors import BenchmarkError
from nni_wiring.records import Score, Truth
from nni_wiring.truth import CELLS, DATASETS, TruthTable, load_table
from nni_wiring.truth.metrics import Metric, MetricKey, TableData
from nni_wiring.truth.standing import stand
from search_spaces.cell_graph import all_cells
from search_spaces.errors import SpaceError

BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)


@pytest.fixture(scope="module")
def table() -> TruthTable:
    return load_table("bundled")


def made(values: np.ndarray) -> TruthTable:
    """A table in code order whose only accuracy is cifar10 valid."""
    metrics = {MetricKey("cifar10", "valid", 200): Metric(values.astype(np.float32))}
    return TruthTable("made", TableData(np.arange(CELLS), metrics))


def test_best_cells_are_the_known_ones(table: TruthTable) -> None:
    best = table.optimum("cifar10", "valid")
    assert (best.index, best.accuracy, best.rank, best.arch) == (6111, 91.6067, 1, BEST)
    assert table.optimum("cifar100", "valid").index == 9930
    assert table.optimum("cifar100", "valid").accuracy == pytest.approx(73.4933, abs=1e-4)
    assert table.optimum("imagenet16", "valid").index == 10676
    assert table.optimum("imagenet16", "valid").accuracy == pytest.approx(46.7333, abs=1e-4)


@pytest.mark.parametrize("dataset", DATASETS)
def test_rank_percentile_and_regret_by_counting(table: TruthTable, dataset: str) -> None:
    values = table.values(dataset, "valid").astype(np.float64)
    np.testing.assert_array_equal(table.rank(dataset, "valid"), rankdata(-values, method="min"))
    not_better = np.searchsorted(np.sort(values), values, side="right")
    expected = 100 * not_better / CELLS
    np.testing.assert_allclose(table.percentile(dataset, "valid"), expected, atol=1e-4)
    regret = values.max() - values
    np.testing.assert_allclose(table.regret(dataset, "valid"), regret, atol=2e-4)


def test_ties_share_the_smaller_rank_and_missing_cells_have_none() -> None:
    standing = stand(np.array([70.0, 90.0, np.nan, 90.0, 80.0], dtype=np.float32))
    assert standing.rank.tolist() == [4, 1, 0, 1, 3]
    assert standing.percentile.tolist()[:2] == [25.0, 100.0]
    assert np.isnan(standing.percentile[2]) and np.isnan(standing.regret[2])
    assert standing.regret.tolist()[3:] == [0.0, 10.0]


def test_index_and_arch_are_inverse(table: TruthTable) -> None:
    for index in (0, 11, 284, 15_624):
        assert table.index_of(table.arch(index)) == index
        assert table.index_of(table.operations[index]) == index
    assert table.index_of("6111") == table.index_of(f" {BEST} ") == 6111
    assert np.array_equal(np.sort(table.codes), np.arange(CELLS))


@pytest.mark.parametrize("index", [-1, CELLS, "15625"])
def test_an_index_outside_is_refused(table: TruthTable, index: int | str) -> None:
    with pytest.raises(BenchmarkError, match="0..15624"):
        table.index_of(index)


def test_a_wrong_arch_is_refused(table: TruthTable) -> None:
    with pytest.raises(SpaceError, match="nor_conv_5x5"):
        table.query(BEST.replace("nor_conv_1x1", "nor_conv_5x5"))


def test_query_has_the_documented_shape(table: TruthTable) -> None:
    answer = json.loads(json.dumps(table.query(BEST), allow_nan=False))
    assert answer["arch"] == BEST and answer["index"] == 6111
    assert answer["topology"] == {
        "width": 1.5,
        "depth": 3,
        "conv_depth": 3,
        "live_edges": 6,
        "none_edges": 0,
        "connected": True,
        "intermediate_alive": True,
    }
    assert answer["parameters"]["cifar10"] == 1_073_466
    assert answer["accuracy"]["cifar10"] == {"valid": 91.6067, "test": None}
    assert answer["rank"]["cifar10"] == {"valid": 1, "test": None}
    assert answer["percentile"]["cifar10"] == {"valid": 100.0, "test": None}
    assert answer["regret"]["cifar10"] == {"valid": 0.0, "test": None}
    assert set(answer["accuracy"]) == set(DATASETS)


def test_truth_is_the_query_as_a_value(table: TruthTable) -> None:
    for cell in (BEST, 0, 15_624):
        answer, truth = table.query(cell), table.truth(cell)
        assert Truth.from_json(answer) == truth
        assert (truth.index, truth.benchmark) == (answer["index"], "nasbench201")
    assert table.truth(BEST).at("cifar10", "valid") == Score(91.6067, 1, 100.0, 0.0)
    assert table.truth(BEST).at("cifar10", "test") == Score()
    assert table.truth(BEST, epochs=12).at("cifar10", "valid") == Score()


def test_expected_truth_has_every_column_that_is_there_in_full(table: TruthTable) -> None:
    p = np.random.default_rng(2).dirichlet(np.ones(5), size=6)
    truth = table.expected_truth(p)
    assert list(truth.scores) == [(d, s) for d in DATASETS for s in ("valid", "test")]
    for dataset in DATASETS:
        assert truth.at(dataset, "valid") == Score(table.expectation(p, dataset, "valid"))
        assert truth.at(dataset, "test") == Score()
    values = np.full(CELLS, 50.0)
    values[3] = np.nan
    assert made(values).expected_truth(p).at("cifar10", "valid") == Score()


def test_a_missing_metric_is_named_never_substituted(table: TruthTable) -> None:
    with pytest.raises(BenchmarkError, match="cifar10/test@200.*it has: cifar10/valid@200"):
        table.values("cifar10", "test")
    with pytest.raises(BenchmarkError, match="cifar10/valid@12"):
        table.values("cifar10", "valid", epochs=12)
    assert not table.has("cifar10", "test") and table.has("cifar10", "valid")
    assert table.query(0, epochs=12)["accuracy"]["cifar10"] == {"valid": None, "test": None}


def test_a_seed_is_one_trial(table: TruthTable) -> None:
    metric = table.metric("cifar10", "valid")
    assert metric.seeds is not None and metric.trials is not None
    three = (metric.seeds != 0).all(axis=0)
    by_seed = [table.values("cifar10", "valid", seed=seed) for seed in (777, 888, 999)]
    mean = np.mean(by_seed, axis=0)[three]
    np.testing.assert_allclose(mean, metric.mean[three], atol=1e-4)
    with pytest.raises(BenchmarkError, match="seed 5 .*777, 888, 999"):
        table.values("cifar10", "valid", seed=5)


def test_expectation_is_the_sum_over_all_cells() -> None:
    generator = np.random.default_rng(0)
    values = generator.uniform(10, 95, CELLS)
    p = generator.dirichlet(np.ones(5), size=6)
    weights = np.ones(CELLS)
    for cell, operations in enumerate(all_cells()):
        for edge, operation in enumerate(operations):
            weights[cell] *= p[edge, operation]
    expected = float((weights * values.astype(np.float32)).sum())
    assert made(values).expectation(p, "cifar10", "valid") == pytest.approx(expected, rel=1e-9)


def test_expectation_under_one_hot_and_uniform(table: TruthTable) -> None:
    one_hot = np.eye(5)[table.operations[6111]]
    assert table.expectation(one_hot, "cifar10", "valid") == pytest.approx(91.6067, abs=1e-4)
    uniform = table.expectation(np.full((6, 5), 0.2), "cifar10", "valid")
    assert uniform == pytest.approx(table.mean("cifar10", "valid"), rel=1e-6)


def test_expectation_refuses_a_table_with_holes() -> None:
    values = np.full(CELLS, 50.0)
    values[3] = np.nan
    with pytest.raises(BenchmarkError, match="1 cells"):
        made(values).expectation(np.full((6, 5), 0.2), "cifar10", "valid")


def test_kendall_tau_by_pairs() -> None:
    generator = np.random.default_rng(1)
    values = np.full(CELLS, np.nan)
    values[:40] = generator.integers(0, 100, 40)
    scores = np.full(CELLS, np.nan)
    scores[10:60] = generator.integers(0, 10, 50)
    concordant = discordant = tied_value = tied_score = 0
    for a in range(10, 40):
        for b in range(a + 1, 40):
            product = np.sign(values[a] - values[b]) * np.sign(scores[a] - scores[b])
            concordant += product > 0
            discordant += product < 0
            tied_value += values[a] == values[b]
            tied_score += scores[a] == scores[b]
    pairs = 30 * 29 / 2
    root = ((pairs - tied_value) * (pairs - tied_score)) ** 0.5
    tau = made(values).kendall_tau(scores, "cifar10", "valid")
    assert tau == pytest.approx((concordant - discordant) / root)
    with pytest.raises(BenchmarkError, match="15625"):
        made(values).kendall_tau(scores[:5], "cifar10", "valid")


def test_kendall_tau_of_the_parameters(table: TruthTable) -> None:
    # data sets disagree less with each other than with the number of parameters
    across = table.kendall_tau(table.values("cifar100", "valid"), "cifar10", "valid")
    both = table.values("cifar100", "valid"), table.values("cifar10", "valid")
    assert across == pytest.approx(kendalltau(*both).statistic)


def test_disconnected_cells_are_at_chance(table: TruthTable) -> None:
    connected = np.array([table.query(i)["topology"]["connected"] for i in range(CELLS)])
    values = table.values("cifar10", "valid")
    assert (~connected).sum() == 341
    assert values[~connected].max() <= 9.81 and values[connected].min() >= 32


def test_top_is_sorted_and_bounded(table: TruthTable) -> None:
    best = table.top(50, "imagenet16", "valid")
    accuracies = [entry.accuracy for entry in best]
    assert accuracies == sorted(accuracies, reverse=True) and len(best) == 50
    with pytest.raises(BenchmarkError, match="1..15625"):
        table.top(0, "cifar10", "valid")


def test_seconds_of_a_shorter_training_are_the_share(table: TruthTable) -> None:
    ratio = table.seconds("cifar10", 12) / table.seconds("cifar10", 200)
    np.testing.assert_allclose(ratio, 12 / 200, rtol=1e-6)
