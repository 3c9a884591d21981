"""Cells that are decided edge by edge, by hand: Z, the cell and its genotype."""

from __future__ import annotations

import torch

from nni_wiring.selection.decided_cells import (
    decided_cell,
    decided_genotype,
    live_edges,
    masked,
)
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import Decided, Softmax
from search_spaces.genotypes import DARTS_GRAPH, parse_genotype

NAMES = DARTS_GRAPH.edge_names


def decided(operations: list[str]) -> list[EdgeGroup]:
    """Every node keeps the edges from 0 and 1, all with the last operation."""
    groups = [
        EdgeGroup(kind, NAMES, [f"{kind}/{name}" for name in NAMES], [operations] * 14, DARTS_GRAPH)
        for kind in ("normal", "reduce")
    ]
    for group in groups:
        group.decisions.chosen = dict.fromkeys(range(14), len(operations) - 1)
        group.decisions.dropped = [e for e, edge in enumerate(NAMES) if edge[0] not in "01"]
    return groups


def test_a_dropped_edge_is_none_where_it_may_be_and_in_no_genotype() -> None:
    for operations in (["none", "sep_conv_3x3"], ["max_pool_3x3", "sep_conv_3x3"]):
        groups = decided(operations)
        kept = [edge[0] in "01" for edge in NAMES]
        dropped = 0 if "none" in operations else 1
        assert decided_cell(groups[0]) == [1 if live else dropped for live in kept]
        text = decided_genotype(groups)
        assert text is not None
        pairs = (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)) * 4
        assert parse_genotype(text).normal == parse_genotype(text).reduce == pairs
        assert [NAMES[edge] for edge in live_edges(groups[1], 5)] == ["0-5", "1-5"]


def test_z_is_one_hot_zero_or_open_and_a_mask_takes_its_part_only() -> None:
    group = decided(["none", "sep_conv_3x3"])[0]
    del group.decisions.chosen[0]
    z = Decided(Softmax()).evaluation_weights(group).detach()
    assert z[0].tolist() == [0.5, 0.5]  # alpha is zero everywhere
    for edge, name in enumerate(NAMES[1:], start=1):
        assert z[edge].tolist() == ([0, 1] if name[0] in "01" else [0, 0])
    expected = z.clone()
    expected[0, 1] = 0
    assert torch.equal(masked(z, 0, 1), expected)
    expected[0] = 0
    assert torch.equal(masked(z, 0, None), expected)
    assert z[0].tolist() == [0.5, 0.5]


def test_other_cells_have_no_genotype() -> None:
    assert decided_genotype([EdgeGroup("cell", ["0-1"], ["cell/0_1"], [["none"]])]) is None
