"""The per-edge constraint: who is named, who is left out, what is refused."""

from __future__ import annotations

import pytest

from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.constraints import edge_operations
from search_spaces.errors import SpaceError


def test_no_constraint_allows_everything_everywhere() -> None:
    for constraint in (None, {}):
        allowed = edge_operations(NB201, constraint)
        assert list(allowed) == ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"]
        assert set(allowed.values()) == {OPERATIONS}


def test_a_named_edge_wins_over_the_star_and_order_is_kept() -> None:
    allowed = edge_operations(
        NB201, {"*": ["nor_conv_3x3", "none"], "2-3": ["skip_connect"], "0-1": ["none", "noise"]}
    )
    assert allowed == {
        "0-1": ("none", "noise"),
        "0-2": ("nor_conv_3x3", "none"),
        "1-2": ("nor_conv_3x3", "none"),
        "0-3": ("nor_conv_3x3", "none"),
        "1-3": ("nor_conv_3x3", "none"),
        "2-3": ("skip_connect",),
    }


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ({"3-0": ["none"]}, ["'3-0'", "0-1, 0-2"]),
        ({"0_1": ["none"]}, ["'0_1'"]),
        ({"0-1": []}, ["0-1", "at least one"]),
        ({"*": ["none", "none"]}, ["each once"]),
    ],
)
def test_bad_constraints_are_named(constraint: dict[str, list[str]], words: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        edge_operations(NB201, constraint)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)
