"""Pattern figures against values worked out by hand."""

from __future__ import annotations

import pytest

from search_spaces.cell_graph import NB201
from search_spaces.patterns import argmax_operations, patterns

EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")


def history(rows: str) -> list[dict[str, str]]:
    """One character an edge: `.` none, `c` nor_conv_3x3, `s` skip_connect; one word an epoch."""
    names = {".": "none", "c": "nor_conv_3x3", "s": "skip_connect"}
    return [dict(zip(EDGES, (names[char] for char in row), strict=True)) for row in rows.split()]


def test_growing_pattern_by_hand() -> None:
    # epoch        0      1      2      3      4      5
    found = patterns(history("cccccc .c.ss. ...... c...s. cc..ss cs.css"))
    assert found.counts == (6, 3, 0, 2, 4, 5)
    assert found.selected_edges == 5
    assert found.growing_index == 5  # 5 - 0
    assert found.lowest_epoch == 2
    assert found.recovery_epochs == {"0-1": 3, "0-2": 4, "1-2": None, "0-3": 5, "1-3": 3, "2-3": 4}
    assert found.width_preference is None  # 1-2 never recovered
    assert not found.nothing_selected


def test_width_preference_is_the_head_start_of_the_input_edges() -> None:
    # 0-1 is back from epoch 1, 0-2 from epoch 2, 1-2 flickers and is back for good from epoch 4
    found = patterns(history("...... c..... cc.... c.c... ccc... ccc..."))
    assert found.recovery_epochs["0-1"] == 1
    assert found.recovery_epochs["0-2"] == 4  # epoch 3 was none again
    assert found.recovery_epochs["1-2"] == 3
    assert found.width_preference == pytest.approx(3 - (1 + 4) / 2)


def test_edges_that_never_drop_recover_at_epoch_0() -> None:
    found = patterns(history("cccccc cccccc"))
    assert set(found.recovery_epochs.values()) == {0}
    assert (found.growing_index, found.width_preference, found.selected_edges) == (0, 0.0, 6)
    assert found.lowest_epoch == 0


def test_bi_level_failure() -> None:
    found = patterns(history("cccccc cc.... ......"))
    assert found.nothing_selected
    assert (found.selected_edges, found.growing_index) == (0, 0)
    assert found.recovery_epochs == dict.fromkeys(EDGES)


def test_single_epoch() -> None:
    found = patterns(history("c.c.c."))
    assert (found.selected_edges, found.growing_index, found.counts) == (3, 0, (3,))
    assert found.recovery_epochs["0-1"] == 0 and found.recovery_epochs["0-2"] is None


def test_brute_force_over_random_histories() -> None:
    import random

    draw = random.Random(0)
    for _ in range(200):
        states = [
            {edge: draw.choice(["none", "skip_connect"]) for edge in EDGES}
            for _ in range(draw.randint(1, 6))
        ]
        found = patterns(states)
        for edge in EDGES:
            stays = [
                epoch
                for epoch in range(len(states))
                if all(state[edge] != "none" for state in states[epoch:])
            ]
            assert found.recovery_epochs[edge] == (min(stays) if stays else None)


def test_bad_history_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        patterns([])
    with pytest.raises(ValueError, match="epoch 1 lacks the edges 2-3"):
        patterns([dict.fromkeys(EDGES, "none"), dict.fromkeys(EDGES[:-1], "none")])


def test_argmax_takes_the_first_of_equals() -> None:
    weights = {"0-1": {"none": 0.2, "skip_connect": 0.2}, "0-2": {"none": 0.1, "nor_conv_3x3": 0.3}}
    assert argmax_operations(weights) == {"0-1": "none", "0-2": "nor_conv_3x3"}


def test_edges_of_the_default_graph() -> None:
    assert NB201.edge_names == EDGES
