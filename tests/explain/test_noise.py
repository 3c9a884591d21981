"""The scatter of trainings against numbers that were drawn with a known one, and against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nni_wiring.explain import explain, sentences
from nni_wiring.truth import TruthTable
from nni_wiring.truth.metrics import Metric, MetricKey, TableData
from search_spaces.cell_graph import all_cells

CELLS = len(all_cells())


def drawn(trials: np.ndarray) -> TruthTable:
    seeds = np.broadcast_to(np.arange(1, len(trials) + 1)[:, None], trials.shape)
    metric = Metric.from_trials(trials, seeds)
    data = TableData(np.arange(CELLS), {MetricKey("cifar10", "valid", 200): metric})
    return TruthTable("made-up", data)


def told_of(table: TruthTable, index: int) -> str:
    lines = sentences(explain(index, table, "cifar10", "valid"))
    return "".join(line for line in lines if line.startswith("Noise"))


def test_the_scatter_is_that_of_the_draw_at_the_cell_s_own_level() -> None:
    draw = np.random.default_rng(3)
    truth = np.linspace(20, 80, CELLS)
    scatter = np.where(truth < 50, 4.0, 1.0)  # worse cells scatter more
    trials = truth + scatter * draw.standard_normal((3, CELLS))
    for index, expected in ((1000, 4.0), (CELLS - 1000, 1.0)):
        noise = explain(index, drawn(trials), "cifar10", "valid").noise
        assert noise is not None and noise.trainings == 3
        assert noise.deviation == pytest.approx(expected, rel=0.05)
        assert noise.difference is not None
        # two means of three: as often beyond it as said
        pairs = expected * draw.standard_normal((2, 3, 20000)).mean(axis=1)
        beyond = (np.abs(pairs[0] - pairs[1]) > noise.difference).mean()
        assert beyond == pytest.approx(0.05, abs=0.012)


def test_cells_of_one_training_do_not_count() -> None:
    draw = np.random.default_rng(4)
    trials = 50 + 2 * draw.standard_normal((2, CELLS))
    trials[1, ::3] = np.nan
    noise = explain(0, drawn(trials), "cifar10", "valid").noise
    assert noise is not None and noise.trainings == 1
    assert noise.deviation == pytest.approx(2.0, rel=0.05)
    assert noise.difference == pytest.approx(1.96 * 2.0 * np.sqrt(2), rel=0.05)


def test_one_training_a_cell_is_said_and_a_bare_mean_says_nothing() -> None:
    once = drawn(np.linspace(20, 80, CELLS)[None])
    assert told_of(once, 7) == (
        "Noise of the truth: one training a cell: the table does not tell how far another would "
        "lie from it."
    )
    bare = TableData(
        np.arange(CELLS),
        {MetricKey("cifar10", "valid", 200): Metric(np.linspace(20, 80, CELLS, dtype=np.float32))},
    )
    assert told_of(TruthTable("made-up", bare), 7) == ""


def test_the_bundled_table_s_scatter_is_that_of_its_seeds_by_pandas(bundled: TruthTable) -> None:
    metric = bundled.metric("cifar10", "valid")
    assert metric.trials is not None
    frame = pd.DataFrame(metric.trials.T.astype(float))
    level = frame.mean(axis=1).rank(pct=True) * 100
    near = frame[(level - level[6111]).abs() <= 12.5]
    variances, freedom = near.var(axis=1, ddof=1), near.count(axis=1) - 1
    pooled = np.sqrt((variances * freedom).sum() / freedom.sum())
    found = explain(6111, bundled, "cifar10", "valid").noise
    assert found is not None and found.deviation == pytest.approx(pooled, rel=0.01)
    assert "scatter by 0.21 points" in told_of(bundled, 6111)
