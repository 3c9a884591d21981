"""DARTS-type spaces against their papers' counts, a genotype round trip, and S1's identities."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.strategies.darts import DARTS
from nni_wiring.supernet.cell import SupernetCell
from search_spaces.cell_graph import Wiring
from search_spaces.errors import SpaceError
from search_spaces.genotypes import (
    DARTS_GRAPH,
    DARTS_OPERATIONS,
    cell_pairs,
    format_genotype,
    parse_genotype,
    strongest_edges,
)
from search_spaces.registry import build_space, space_entry

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=range(2, 6))"
)


def supernet(space: str, **options: object) -> tuple[nn.Module, DARTS]:
    torch.manual_seed(0)
    strategy = DARTS(alpha_init=0.5)
    options = {"num_classes": 4, "channels": 4, "cells": 2, **options}
    model = strategy.mutate_model(build_space(space, **options))
    return model.double(), strategy


def costs_of_last_cell(
    model: nn.Module, strategy: DARTS, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Z, dL/dZ of the last cell alone, and L - H, computed from the definitions."""
    [group] = strategy.groups
    group.draw = strategy.draw(group, "weights", torch.Generator())
    cell = [m for m in model.modules() if isinstance(m, SupernetCell)][-1]
    own = group.draw.z.detach().requires_grad_()
    cell.tap = lambda z, draw: own
    logits = model(images)
    loss = nn.functional.cross_entropy(logits, labels)
    [gradient] = torch.autograd.grad(loss, own)
    p = torch.softmax(logits, dim=-1)
    entropy = -(p * p.log()).sum(dim=-1).mean()
    return own.detach(), gradient, float((loss - entropy).detach())


@pytest.mark.parametrize(
    ("name", "edges", "cells"),
    [("minimal", 5, 8**5), ("simplified", 3, 8**3), ("darts", 28, 8**28), ("darts_s1", 28, 2**28)]
    + [("darts_s2", 28, 2**28), ("darts_s3", 28, 3**28), ("darts_s4", 28, 2**28)],
)
def test_counts_of_the_papers(name: str, edges: int, cells: int) -> None:
    entry = space_entry(name)
    assert len(entry.operations()) == edges
    assert entry.cells() == cells
    assert not entry.tabulated()


def test_s1_cell_operations() -> None:
    assert set(space_entry("minimal").operations()["2-3"]) == set(DARTS_OPERATIONS)
    assert len(DARTS_OPERATIONS) == 8


def test_a_deleted_edge_is_one_that_allows_only_none() -> None:
    entry = space_entry("minimal")
    only = {"0-2": ["none"], "0-3": ["none"]}
    assert entry.cells(only) == space_entry("simplified").cells()
    model, strategy = supernet("minimal", operations=only)
    [group] = strategy.groups
    assert group.edge_operations[0] == ("none",)
    group.draw = strategy.draw(group, "weights", torch.Generator())
    assert model(torch.randn(2, 3, 8, 8, dtype=torch.float64)).shape == (2, 4)


def test_a_constraint_may_name_one_kind_of_cell() -> None:
    found = space_entry("darts").operations({"*": ["none"], "normal/0-2": ["skip_connect"]})
    assert found["normal/0-2"] == ("skip_connect",)
    assert found["reduce/0-2"] == ("none",)
    with pytest.raises(SpaceError, match="'norm'.*allowed: normal, reduce"):
        space_entry("darts").operations({"norm/0-2": ["none"]})


def test_reduction_cells_halve_the_size_and_double_the_channels() -> None:
    model, strategy = supernet("darts", cells=6)
    shapes = []
    for layer in model.layers:
        layer.register_forward_hook(lambda m, i, output: shapes.append(tuple(output.shape[1:])))
    for group in strategy.groups:
        group.draw = strategy.draw(group, "weights", torch.Generator())
    model(torch.randn(2, 3, 16, 16, dtype=torch.float64))
    assert shapes == [(16, 16, 16)] * 2 + [(32, 8, 8)] * 2 + [(64, 4, 4)] * 2


@pytest.mark.parametrize("edges", ["all", "reduce/0-2"])
def test_a_reduction_cell_of_none_is_zeros_of_the_smaller_size(edges: str) -> None:
    operations = {"*" if edges == "all" else edges: ["none"]}
    model, strategy = supernet("darts", cells=3, operations=operations)
    for group in strategy.groups:
        group.draw = strategy.draw(group, "weights", torch.Generator())
    logits = model(torch.randn(2, 3, 16, 16, dtype=torch.float64))
    assert logits.shape == (2, 4)
    if edges == "all":
        assert torch.equal(logits[0], logits[1])  # nothing but the classifier's bias is left


def test_genotype_round_trip_and_topology() -> None:
    genotype = parse_genotype(DARTS_V2)
    assert parse_genotype(format_genotype(genotype)) == genotype
    assert genotype.reduce_concat == (2, 3, 4, 5)
    figures = genotype.wiring("normal").topology()
    assert (figures.width, figures.depth) == (3.5, 3)  # S3's figures for DARTS' normal cell


def test_genotype_to_supernet_edges_and_back() -> None:
    pairs = parse_genotype(DARTS_V2).normal
    chosen = dict.fromkeys(DARTS_GRAPH.edge_names, "none")
    for place, (operation, source) in enumerate(pairs):  # two per node, the first node is 2
        chosen[f"{source}-{2 + place // 2}"] = operation
    strength = {edge: 0.0 if operation == "none" else 1.0 for edge, operation in chosen.items()}
    kept = strongest_edges(strength)
    assert sorted(cell_pairs(chosen, kept)) == sorted(pairs)
    live = Wiring.from_edges(chosen, DARTS_GRAPH).topology()
    assert live.live_edges == len(pairs)


def test_the_earlier_edge_wins_a_tie() -> None:
    kept = strongest_edges(dict.fromkeys(DARTS_GRAPH.edge_names, 1.0))
    assert kept[5] == ["0-5", "1-5"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype()",
        "Genotype(normal=__import__('os'), normal_concat=[2], reduce=[], reduce_concat=[2])",
        DARTS_V2.replace("('sep_conv_3x3', 1)", "('sep_conv_3x3', 'a')"),
        DARTS_V2.replace("[2, 3, 4, 5]", "[2, 3, 4, 9]"),
        DARTS_V2.replace("range(2, 6)", "range(2, 10 ** 9)"),
    ],
)
def test_a_malformed_genotype_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_genotype(text)
    assert "\n" not in str(caught.value)


def test_fact_one_with_the_intermediate_edge() -> None:
    """Facts 1 and 2 where a node is both concatenated and the source of another.

    The costs into the nodes that are concatenated count 2-3 twice where it passes its input on
    (skip); operations that end in batch norm are invariant to their input's scale (fact 3).
    """
    model, strategy = supernet("minimal", cells=2)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (8,), generator=generator)
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.eps = 1e-12
    z, cost, gap = costs_of_last_cell(model, strategy, images, labels)
    [group] = strategy.groups
    skip, inner = group.operations.index("skip_connect"), group.edges.index("2-3")
    passed_on = float(z[inner, skip] * cost[inner, skip])
    assert float((z * cost).sum()) - passed_on == pytest.approx(gap, abs=1e-6)


def test_fact_one_without_the_intermediate_edge() -> None:
    model, strategy = supernet("minimal", operations={"2-3": ["none"]})
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (8,), generator=generator)
    z, cost, gap = costs_of_last_cell(model, strategy, images, labels)
    assert float((z * cost).sum()) == pytest.approx(gap, abs=1e-12)
    assert not cost[:, strategy.groups[0].operations.index("none")].any()


def test_batch_norm_blocks_the_cost_of_what_it_normalises() -> None:
    """Fact 3: if 2-3 ends in batch norm and node 2 is not in the output, its in-edges cost 0.

    Here node 2 is concatenated, so its cost must be what the concatenation alone makes of it.
    """
    model, strategy = supernet("simplified", cells=1, operations={"1-2": ["sep_conv_3x3"]})
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (8,), generator=generator)
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.eps = 1e-12
    [cell] = [m for m in model.modules() if isinstance(m, SupernetCell)]
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    cell.register_forward_hook(keep)
    [group] = strategy.groups
    group.draw = strategy.draw(group, "weights", torch.Generator())
    own = group.draw.z.detach().requires_grad_()
    cell.tap = lambda z, draw: own
    nn.functional.cross_entropy(model(images), labels).backward()
    half = seen[0].shape[1] // 2
    node_one = (seen[0].grad[:, :half] * seen[0][:, :half]).sum()
    row = group.edges.index("0-1")
    assert float((own * own.grad)[row].sum()) == pytest.approx(float(node_one), abs=1e-7)
