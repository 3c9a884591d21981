"""Ties among accuracies, against the binomial standard error written out."""

from __future__ import annotations

import numpy as np
import pytest

from nni_wiring.selection.ties import tied_with


@pytest.mark.parametrize("images", [100, 1000, 25_000])
def test_a_tie_is_what_lies_within_the_interval_of_the_difference(images: int) -> None:
    half = 196 * np.sqrt((0.4 * 0.6 + 0.5 * 0.5) / images)  # percent, near enough to .4 and .5
    near, far = 40 + 0.9 * half, 40 + 1.1 * half
    assert tied_with(0, [40.0, near, far, 40.0, 90.0], images) == [1, 3]


def test_equal_accuracies_decide_for_nobody() -> None:
    assert tied_with(2, [10.0] * 5, 50) == [0, 1, 3, 4]
    assert tied_with(0, [0.0, 100.0], 2) == []


def test_under_the_null_about_one_in_twenty_is_no_tie() -> None:
    random = np.random.default_rng(0)
    pairs = random.binomial(500, 0.3, (4000, 2)) / 5
    apart = sum(not tied_with(0, pair.tolist(), 500) for pair in pairs)
    assert 0.03 < apart / 4000 < 0.07
