"""DNW on the one loop: k ones a cell, and scores that follow the local cost of every operation."""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny_search import CELLS, STEPS, TinySearch, check_runs, images, tiny_space
from torch import nn
from two_edge_cell import Chain, seeded

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.dnw import DNW
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import TopK
from search_spaces.genotypes import DARTS_GRAPH


@pytest.mark.parametrize(("kind", "optimisation"), [("ours", "single_level"), ("hub", "bi_level")])
def test_runs(kind: str, optimisation: str) -> None:
    search = check_runs(DNW(optimisation=optimisation), kind)
    cost = search.monitor.records[-1].cost
    single = optimisation == "single_level"
    assert set(cost) == ({"weights"} if single else {"weights", "alpha"})
    for row in search.counts("weights" if single else "alpha").values():
        # all operations but none have a cost at every step that moves the scores
        assert {count for op, count in row.items() if op != "none"} == {STEPS * CELLS}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("k", [1, 2, 4])
def test_gradient_is_the_local_cost_by_its_definition(k: int) -> None:
    """<dL/dx_j, O(x_i)>, written out for a chain of two edges, selected or not; none has none."""
    chain, relaxation = Chain(bend=True), TopK(k)
    draw = relaxation.draw(chain.group, "joint", seeded())
    found = chain.gradient(relaxation, draw)
    torch.testing.assert_close(found, chain.costs(draw.z.detach()), rtol=1e-12, atol=1e-14)
    assert not found[:, 0].any()
    # with nothing selected on 1-2, nothing depends on node 1
    assert found[0, 1:].all() == draw.z[1].any() and found[1, 1:].all()


def test_gradient_of_a_network_by_finite_differences() -> None:
    """dL/dscore of every operation but none = dL/dZ of the whole network's loss, in float64."""
    torch.manual_seed(1)
    strategy = DNW(alpha_init=1.0, alpha_init_mean=0.0)
    model = strategy.mutate_model(tiny_space()).double()
    (group,) = strategy.groups
    pixels, labels = images()

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(pixels.double()), labels)

    group.draw = strategy.draw(group, "joint", seeded())
    (found,) = torch.autograd.grad(loss(), group.alpha)
    z, active = group.draw.z.detach(), group.draw.active
    expected = torch.zeros_like(z)
    with torch.no_grad():
        for edge, k in itertools.product(range(6), range(1, 5)):
            values = []
            for step in (1e-5, -1e-5):
                moved = z.clone()
                moved[edge, k] += step
                group.draw = Draw(moved, active)
                values.append(loss())
            expected[edge, k] = (values[0] - values[1]) / 2e-5
    assert z.sum() == 3 and expected[z == 0].any()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("top_k", "ones"), [(None, 3), (1, 1), (7, 7), (24, 24)])
@pytest.mark.parametrize("phase", ["weights", "alpha", "joint"])
def test_z_is_one_at_the_k_largest_scores(top_k: int | None, ones: int, phase: str) -> None:
    strategy = DNW(top_k=top_k, alpha_init=1.0, alpha_init_mean=0.0)
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    group.alpha.data[:, 0] = 9.0  # none is no candidate, however strong
    draw = strategy.draw(group, phase, seeded())
    entries = [(abs(group.alpha[e, k].item()), e, k) for e in range(6) for k in range(1, 5)]
    best = {(e, k) for _, e, k in sorted(entries)[-ones:]}
    assert draw.z.detach().unique().tolist() == [0.0, 1.0]
    assert {tuple(place) for place in draw.z.nonzero().tolist()} == best
    running = {(e, k) for e, row in enumerate(draw.active) for k in row}
    assert running == (best if phase == "weights" else {(e, k) for _, e, k in entries})


def test_the_cell_has_the_strongest_selected_operation_of_every_edge() -> None:
    strategy = DNW(top_k=4)
    strategy.mutate_model(tiny_space(operations={"2-3": ["skip_connect", "nor_conv_1x1"]}))
    (group,) = strategy.groups
    index = group.operations.index
    group.alpha.data.fill_(0.1)
    group.alpha.data[0, index("nor_conv_3x3")] = 2.0
    group.alpha.data[0, index("skip_connect")] = 3.0  # two on one edge: the larger
    group.alpha.data[2, index("avg_pool_3x3")] = -4.0  # by size
    group.alpha.data[3, index("none")] = 9.0
    group.alpha.data[4, index("nor_conv_1x1")] = 1.0
    group.alpha.data[5, index("nor_conv_1x1")] = 0.2  # not selected, but none is not allowed here
    names = [group.operations[k] for k in strategy.select(group)]
    assert names == [
        *("skip_connect", "none", "avg_pool_3x3", "none", "nor_conv_1x1", "nor_conv_1x1"),
    ]
    p = strategy.relaxation.probabilities(group)
    torch.testing.assert_close(p.sum(-1), torch.ones(6))
    assert not p[~group.mask].any()
    assert p[0, index("skip_connect")].item() == pytest.approx(3 / 5)


def test_a_genotype_keeps_the_strongest_selected_edges() -> None:
    operations = ["none", "skip_connect", "sep_conv_3x3"]
    names = [f"{source}-{target}" for source, target in DARTS_GRAPH.edges]
    group = EdgeGroup("normal", names, names, [operations] * len(names), DARTS_GRAPH)
    group.alpha.data.fill_(0.01)
    into = {name: row for row, name in enumerate(names)}
    for name, score in {"0-2": 1.0, "0-4": 1.0, "1-4": 3.0, "3-4": 2.0}.items():
        group.alpha.data[into[name], 2] = score
    pairs = DNW(top_k=4).pairs(group)
    assert [operation for operation, _ in pairs[:2]] == ["sep_conv_3x3", "none"]
    assert set(pairs[4:6]) == {("sep_conv_3x3", 1), ("sep_conv_3x3", 3)}
    assert {operation for operation, _ in pairs[6:]} == {"none"}
    assert DNW().relaxation.budget(group) == 7


def test_a_weight_step_leaves_unselected_weights_alone() -> None:
    search = TinySearch(DNW(optimisation="bi_level"))
    (group,) = search.strategy.groups
    conv = group.operations.index("nor_conv_3x3")
    chain = [group.edges.index(edge) for edge in ("0-1", "1-2", "2-3")]
    group.alpha.data.fill_(0.1)
    group.alpha.data[chain, conv] = 1.0
    group.draw = search.strategy.draw(group, "weights", search.module.generator)
    search.model(images()[0]).square().mean().backward()
    cells = [m for m in search.model.modules() if isinstance(m, SupernetCell)]
    assert len(cells) == CELLS
    for cell, edge in itertools.product(cells, range(6)):
        for k in group.allowed[edge]:
            moved = [p.grad is not None for p in cell.operation(edge, k).parameters()]
            assert all(moved) if edge in chain and k == conv else not any(moved)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_the_first_cell_is_connected(top_k: int) -> None:
    """By the four paths of the graph; of one operation, on the direct edge. 71 % are unasked."""
    live, direct = [], 0
    for seed in range(30):
        torch.manual_seed(seed)
        strategy = DNW(top_k=top_k)
        strategy.mutate_model(tiny_space())
        (group,) = strategy.groups
        wiring = strategy.relaxation.wiring(group).any(-1).tolist()
        names = {edge for edge, runs in zip(group.edges, wiring, strict=True) if runs}
        paths = ({"0-3"}, {"0-1", "1-3"}, {"0-2", "2-3"}, {"0-1", "1-2", "2-3"})
        live.append(any(path <= names for path in paths))
        direct += "0-3" in names
    assert all(live)
    assert direct == 30 if top_k == 1 else direct >= 15


def test_a_start_that_cannot_connect_is_refused() -> None:
    with pytest.raises(ConfigError, match="top_k = 1: .* allowed: a larger top_k"):
        DNW(top_k=1).mutate_model(tiny_space(operations={"0-3": ["none"]}))


def test_a_budget_beyond_the_operations_is_refused() -> None:
    with pytest.raises(ConfigError, match="top_k = 25: .* allowed: 1 to 24"):
        DNW(top_k=25).mutate_model(tiny_space())
    with pytest.raises(ConfigError, match="top_k"):
        DNW(top_k=0)
    with pytest.raises(ConfigError, match="nothing but none"):
        DNW(selection="magnitude_without_none")
