"""The published and the exact classes against their counts and against a symbolic form."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from search_spaces.cell_graph import (
    NB201,
    OPERATIONS,
    Wiring,
    all_cells,
    cell_code,
    exact_class,
    published_class,
    topology,
    unique_exact,
    unique_published,
)
from search_spaces.errors import SpaceError

NONE, SKIP, CONV1, CONV3, POOL = range(5)


def test_published_and_exact_counts() -> None:
    assert unique_published(all_cells()) == 6466
    assert unique_exact(all_cells()) == 5260


def _value(node: int, cell: tuple[int, ...], names: dict[int, int]) -> tuple[str, ...]:
    """The terms that node sums, as sorted strings; convolutions carry their names."""
    if node == 0:
        return ("x",)
    terms: list[str] = []
    for edge, (source, target) in enumerate(NB201.edges):
        if target != node or cell[edge] == NONE:
            continue
        incoming = _value(source, cell, names)
        if cell[edge] == SKIP:
            terms += incoming
        elif incoming:
            kind = OPERATIONS[cell[edge]] + (f"#{names[edge]}" if edge in names else "")
            terms.append(f"{kind}({'+'.join(incoming)})")
    return tuple(sorted(terms))


def _symbolic(cell: tuple[int, ...]) -> tuple[str, ...]:
    """The output's terms under the naming of convolutions that sorts first."""
    convs = [edge for edge, op in enumerate(cell) if op in (CONV1, CONV3)]
    # a dead convolution must not shift the names of the live ones
    live = [
        edge
        for edge in convs
        if any(f"#{edge}(" in t for t in _value(3, cell, {e: e for e in convs}))
    ]
    return min(
        _value(3, cell, dict(zip(live, order, strict=True)))
        for order in permutations(range(len(live)))
    )


def _same_partition(first: list, second: list) -> bool:
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


@pytest.mark.parametrize(
    "operations", [(NONE, SKIP, CONV3), (NONE, CONV1, CONV3), (SKIP, CONV3, POOL)]
)
def test_exact_classes_against_symbolic_expressions(operations: tuple[int, ...]) -> None:
    cells = list(product(operations, repeat=6))[::2]
    assert _same_partition([_symbolic(cell) for cell in cells], exact_class(cells).tolist())


def test_exact_classes_of_random_cells_against_symbolic_expressions() -> None:
    cells = np.random.default_rng(0).integers(0, 5, size=(800, 6))
    symbolic = [_symbolic(tuple(cell)) for cell in cells.tolist()]
    assert _same_partition(symbolic, exact_class(cells).tolist())


def test_a_reused_convolution_differs_from_two_equal_ones() -> None:
    twice = (CONV3, NONE, SKIP, NONE, SKIP, SKIP)  # a(x) + a(x)
    two = (CONV3, CONV3, NONE, NONE, SKIP, SKIP)  # a(x) + b(x)
    assert exact_class(twice) != exact_class(two)
    assert published_class(twice) == published_class(two)


def test_names_of_convolutions_do_not_matter_but_kinds_do() -> None:
    first = (CONV3, CONV1, NONE, NONE, SKIP, SKIP)
    swapped = (CONV1, CONV3, NONE, NONE, SKIP, SKIP)
    other = (CONV3, CONV3, NONE, NONE, SKIP, SKIP)
    assert exact_class(first) == exact_class(swapped) != exact_class(other)
    # the published string does not sort the terms that a skip passes on: '#+a' + b, not a + '#+b'
    assert len({published_class(cell).item() for cell in (first, swapped, other)}) == 3


def test_zero_terms_stay_in_published_sums_only() -> None:
    # node 2 is '#+#', which the rule does not take for zero, so its convolution counts
    dangling = (CONV3, NONE, NONE, NONE, SKIP, CONV3)
    plain = (CONV3, NONE, NONE, NONE, SKIP, NONE)
    assert published_class(dangling) != published_class(plain)
    assert exact_class(dangling) == exact_class(plain)
    # node 1 is '#' itself, and so are the edges out of it
    assert published_class((NONE, SKIP, CONV3, NONE, POOL, SKIP)) == published_class(
        (NONE, SKIP, NONE, NONE, NONE, SKIP)
    )


def test_disconnected_cells_are_one_exact_class() -> None:
    dead = all_cells()[~topology(all_cells()).connected]
    assert len(dead) == 341
    assert set(exact_class(dead).tolist()) == {0}


def test_a_class_is_named_by_its_smallest_code() -> None:
    codes = np.arange(5**6)
    for classes in (published_class(all_cells()), exact_class(all_cells())):
        assert (classes <= codes).all()
        np.testing.assert_array_equal(classes[classes], classes)


def test_cells_of_one_exact_class_share_their_function_figures() -> None:
    """Skips and dead edges may differ inside a class; what the convolutions do may not."""
    classes = exact_class(all_cells())
    figures = topology(all_cells())
    for column in (figures.conv_depth, figures.connected):
        np.testing.assert_array_equal(column, column[classes])


def test_classes_of_single_cells_and_bad_input() -> None:
    wiring = Wiring.from_indices((CONV3, CONV3, POOL, SKIP, CONV3, SKIP))
    assert exact_class(wiring.indices).shape == ()
    assert unique_exact([wiring.indices, wiring.indices]) == 1
    assert exact_class(wiring.indices) <= cell_code(wiring.indices)
    with pytest.raises(SpaceError):
        unique_published([[0, 0, 0, 0, 0, 5]])
    with pytest.raises(SpaceError):
        unique_exact([[0, 0, 0]])
