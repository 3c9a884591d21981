"""The supernet cell against the weighted sum written out, and against the discrete cell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from one_shot import (
    EDGES,
    explicit_network,
    random_batches,
    set_alphas,
    tiny_space,
    weight_table,
    wiring_cells,
)
from torch import nn

from nni_wiring.strategies.darts import DARTS
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw
from search_spaces.cell_graph import OPERATIONS
from search_spaces.operations import Zero

CONSTRAINTS: list[dict[str, list[str]] | None] = [
    None,
    {"*": ["nor_conv_3x3", "none"]},
    {"0-1": ["avg_pool_3x3", "skip_connect"], "2-3": ["none"], "1-2": ["none", "nor_conv_1x1"]},
]


@pytest.fixture(autouse=True)
def seeded(float64: None) -> None:
    torch.manual_seed(1)


@pytest.fixture(params=["plain", "fused"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both implementations of the cell compute the same function."""
    return str(request.param)


def supernet(kind: str = "plain", **options: Any) -> tuple[Any, Any]:
    strategy = DARTS(supernet=kind)
    model = strategy.mutate_model(tiny_space(**options))
    (group,) = strategy.groups
    return model, group


@pytest.mark.parametrize("operations", CONSTRAINTS)
def test_outputs_and_gradients_are_those_of_the_explicit_sum(operations: Any, kind: str) -> None:
    model, group = supernet(kind, operations=operations, affine=True)
    z = torch.rand(group.alpha.shape) * group.mask
    images, labels = random_batches(1, seed=4)[0]
    found, expected = z.clone().requires_grad_(), z.clone().requires_grad_()
    group.draw = Draw(found, group.allowed)
    ours = nn.functional.cross_entropy(model(images), labels)
    theirs = nn.functional.cross_entropy(
        explicit_network(model, [weight_table(group, expected)] * 3, images), labels
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    weights = [p for name, p in model.named_parameters() if "alpha" not in name]
    for ours_, theirs_ in zip(
        torch.autograd.grad(ours, [found, *weights], allow_unused=True),
        torch.autograd.grad(theirs, [expected, *weights], allow_unused=True),
        strict=True,
    ):
        assert (ours_ is None) == (theirs_ is None)
        if ours_ is not None:
            torch.testing.assert_close(ours_, theirs_, rtol=1e-9, atol=1e-12)


def test_softmax_z_of_darts_has_rows_of_one_and_no_share_for_forbidden_operations() -> None:
    strategy = DARTS()
    strategy.mutate_model(tiny_space(operations=CONSTRAINTS[2]))
    (group,) = strategy.groups
    set_alphas([group], seed=3, scale=2)
    z = strategy.relaxation.probabilities(group)
    for row, edge in enumerate(EDGES):
        names = group.edge_operations[row]
        alphas = group.by_edge(group.alpha)[edge]
        total = sum(torch.tensor(alphas[name]).exp() for name in names)
        for column, name in enumerate(group.operations):
            share = torch.tensor(alphas[name]).exp() / total if name in names else torch.zeros(())
            torch.testing.assert_close(z[row, column], share)


def test_one_hot_z_runs_the_chosen_operations_only(kind: str) -> None:
    model, group = supernet(kind)
    calls: Counter[tuple[str, str]] = Counter()
    for cell in wiring_cells(model):
        for edge, choice in cell.edges.items():
            for name in choice.names:
                choice[name].register_forward_hook(
                    lambda m, i, o, key=(edge, name): calls.update([key])
                )
    chosen = dict(zip(EDGES, [*OPERATIONS, "skip_connect"], strict=True))
    columns = [group.operations.index(name) for name in chosen.values()]
    z = nn.functional.one_hot(torch.tensor(columns), len(group.operations)).double()
    group.draw = Draw(z, tuple((column,) for column in columns))
    images = random_batches(1, seed=5)[0][0]
    logits = model(images)
    run = {(edge, name): 3 for edge, name in chosen.items() if name != "none"}  # three cells
    assert {key: n for key, n in calls.items() if key[1] != "none"} == run
    torch.testing.assert_close(
        logits, explicit_network(model, [weight_table(group, z)] * 3, images)
    )


def test_none_is_never_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Zero, x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("none was computed")

    monkeypatch.setattr(Zero, "forward", fail)
    model, group = supernet()
    group.draw = Draw(torch.rand(6, 5), group.allowed)
    assert model(random_batches(1, seed=5)[0][0]).shape == (6, 3)


def test_a_cell_of_nothing_but_none_gives_zeros(kind: str) -> None:
    model, group = supernet(kind, operations={"*": ["none"]}, head="bias_free")
    group.draw = Draw(torch.ones(6, 1), group.allowed)
    logits = model(random_batches(1, seed=5)[0][0])
    assert torch.equal(logits, torch.zeros_like(logits))


def test_without_a_draw_the_cell_says_what_is_missing() -> None:
    model, _ = supernet()
    with pytest.raises(RuntimeError, match="no Z was drawn for 'cell'"):
        model(random_batches(1, seed=5)[0][0])


def test_weights_keep_the_names_of_the_space(kind: str) -> None:
    space = tiny_space(affine=True, track_stats=True)
    before = {name: tuple(value.shape) for name, value in space.state_dict().items()}
    after = DARTS(supernet=kind).mutate_model(space).state_dict()
    added = set(after) - set(before)
    assert {name: tuple(after[name].shape) for name in before} == before
    assert len(added) == 1 and next(iter(added)).endswith("alpha")


@pytest.mark.parametrize("seed", range(3))
def test_freezing_gives_the_discrete_cell_with_the_same_weights(seed: int, kind: str) -> None:
    model, group = supernet(kind, affine=True, track_stats=True)
    draw = torch.Generator().manual_seed(seed)
    columns = torch.randint(0, 5, (6,), generator=draw).tolist()
    sample = group.sample(columns)
    images = random_batches(1, seed=5)[0][0]
    # a used supernet: the draw of the last step, with its graph, is still there
    group.draw = Draw(torch.softmax(group.logits(), dim=-1), group.allowed)
    model(images).sum().backward()
    network = model.freeze(sample).eval()
    assert not [m for m in network.modules() if isinstance(m, SupernetCell)]
    weights = {
        edge: {group.operations[column]: torch.ones(())}
        for edge, column in zip(EDGES, columns, strict=True)
    }
    model.eval()
    torch.testing.assert_close(network(images), explicit_network(model, [weights] * 3, images))
    plain = tiny_space(affine=True, track_stats=True).freeze(sample)
    assert list(network.state_dict()) == list(plain.state_dict())
