"""DARTS+ on the one loop: its two stop rules, on alphas made by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_search import TinySearch, check_runs, tiny_space

from nni_wiring.strategies.darts_plus import DARTSPlus
from nni_wiring.supernet.edge_group import EdgeGroup


def prepared(**settings: Any) -> tuple[DARTSPlus, EdgeGroup]:
    strategy = DARTSPlus(**settings)
    strategy.mutate_model(tiny_space())
    group = strategy.groups[0]
    group.alpha.data.zero_()
    group.alpha.data[:, group.operations.index("nor_conv_3x3")] = 1.0
    return strategy, group


@pytest.mark.parametrize("kind", ["ours", "hub"])
def test_runs(kind: str) -> None:
    check_runs(DARTSPlus(), kind)


@pytest.mark.parametrize(("limit", "stops_at"), [(1, 1), (2, 2), (4, 4)])
def test_stops_when_the_derived_cell_has_that_many_skips(limit: int, stops_at: int) -> None:
    strategy, group = prepared(max_skips=limit, stable_epochs=None)
    skip = group.operations.index("skip_connect")
    assert not strategy.parts.should_stop(0)
    for edge in range(5):
        group.alpha.data[edge, skip] = 2.0
        assert strategy.parts.should_stop(edge + 1) == (edge + 1 >= stops_at)


def test_stops_when_the_ranking_has_been_stable() -> None:
    strategy, group = prepared(max_skips=None, stable_epochs=3)
    one, three = (group.operations.index(f"nor_conv_{k}") for k in ("1x1", "3x3"))
    assert [strategy.parts.should_stop(epoch) for epoch in range(3)] == [False, False, False]
    group.alpha.data[4, one] = 5.0  # another ranking on one edge: count from here
    assert [strategy.parts.should_stop(epoch) for epoch in range(3, 6)] == [False, False, False]
    group.alpha.data[4, three] = 4.0  # the same ranking, other values
    assert strategy.parts.should_stop(6)


def test_the_ranking_is_that_of_operations_with_parameters() -> None:
    strategy, group = prepared(max_skips=None, stable_epochs=2)
    pool = group.operations.index("avg_pool_3x3")
    stops = []
    for epoch in range(3):
        group.alpha.data[:, pool] = float(epoch)  # pooling passes both convolutions
        stops.append(strategy.parts.should_stop(epoch))
    assert stops == [False, False, True]


def test_no_rule_is_asked_before_alpha_moves() -> None:
    strategy, group = prepared(warmup_epochs=2)
    group.alpha.data[:, group.operations.index("skip_connect")] = 2.0
    assert [strategy.parts.should_stop(epoch) for epoch in range(3)] == [False, False, True]


def test_the_count_survives_a_resume() -> None:
    strategy, group = prepared(max_skips=None, stable_epochs=3)
    for epoch in range(3):
        assert not strategy.parts.should_stop(epoch)
    resumed, other = prepared(max_skips=None, stable_epochs=3)
    other.alpha.data.copy_(group.alpha.data)
    resumed.parts.load_state(strategy.parts.state())
    assert resumed.parts.should_stop(3)


def test_the_search_ends_early() -> None:
    strategy = DARTSPlus(max_skips=None, stable_epochs=1, alpha_lr=0.0, alpha_weight_decay=0.0)
    search = TinySearch(strategy, epochs=6).run()
    assert len(search.monitor.records) == 2  # the first ranking, and once the same
    assert torch.isfinite(strategy.groups[0].alpha).all()


def test_second_order_needs_two_levels() -> None:
    with pytest.raises(Exception, match="order 2 unrolls the lower level"):
        DARTSPlus(order=2, optimisation="single_level")
