"""The studies' statistics and probes against brute force, and that a probe only looks."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.errors import RunError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import OpenSearch, open_search, reopen
from nni_wiring.search.run import run_search
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.studies.marginals import accuracy_cube, cell_marginals, mean_marginals
from nni_wiring.studies.operation_costs import uniform_options
from nni_wiring.studies.probes import EpochProbe, cost_samples, in_float64, sample_costs
from nni_wiring.studies.shuffling import (
    distinct_orders,
    opened,
    shuffled_edges,
    shuffled_layers,
)
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.truth import load_table
from search_spaces.cell_graph import format_arch

TINY = {
    "data": "digits",
    "channels": 4,
    "cells": 1,
    "batch_size": 8,
    "epochs": 1,
    "max_steps": 2,
    "supernet": "plain",
}


def tiny(**changes: object) -> OpenSearch:
    return open_search(make_config({**TINY, **changes}))


def test_costs_at_initialisation_by_brute_force() -> None:
    """Ten batches: dL/dZ of the last cell by central differences of the loss, in float64."""
    found = tiny(strategy="darts", max_steps=10, batch_size=4, head="bias_free")
    module = found.module.double()
    batches = [(x.double(), y) for x, y in found.loaders.train]
    measured = cost_samples(module, batches, 10)["cell"][:, -1]
    [group] = found.strategy.groups
    z = torch.softmax(group.logits().detach(), dim=-1)
    [*_, cell] = [m for m in module.model.modules() if isinstance(m, SupernetCell)]
    group.draw = Draw(z, group.allowed)
    step = 1e-5

    def loss(batch: tuple[torch.Tensor, torch.Tensor], changed: torch.Tensor) -> float:
        cell.tap = lambda old, draw: changed
        with torch.no_grad():
            return float(nn.functional.cross_entropy(module.model(batch[0]), batch[1]))

    for number, batch in enumerate(batches):
        for edge, k in ((0, 1), (0, 3), (2, 2), (3, 4), (5, 1), (5, 3), (1, 0)):
            up, down = z.clone(), z.clone()
            up[edge, k] += step
            down[edge, k] -= step
            slope = (loss(batch, up) - loss(batch, down)) / (2 * step)
            assert measured[number, edge, k] == pytest.approx(slope, abs=1e-7)
    assert not measured[:, :, 0].any()  # the cost of none
    assert len(measured) == 10


@pytest.mark.parametrize("strategy", ["darts", "dsnas"])
def test_a_probe_leaves_no_trace(strategy: str) -> None:
    found = tiny(strategy=strategy)
    before = {name: value.clone() for name, value in found.module.state_dict().items()}
    source = found.module.generator.get_state()
    with in_float64(found.module):
        assert found.module.dtype == torch.float64
    cost_samples(found.module, found.loaders.train, 2)
    sample_costs(found.module, next(iter(found.loaders.train)))
    for name, value in found.module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in found.module.parameters())
    cells = [m for m in found.module.modules() if isinstance(m, SupernetCell)]
    assert all(cell.tap is None for cell in cells)
    assert all(group.draw is None for group in found.strategy.groups)
    assert torch.equal(found.module.generator.get_state(), source)


def test_uniform_options_sample_uniformly_and_keep_alpha() -> None:
    found = tiny(**uniform_options())
    [group] = found.strategy.groups
    assert not group.alpha.any()
    [costs] = cost_samples(found.module, list(found.loaders.train) * 10, 20).values()
    assert (~np.isnan(costs)).sum(axis=-1).max() == 1  # one operation per edge and batch


def test_frozen_means_frozen(tmp_path: pytest.TempPathFactory) -> None:
    options = {**TINY, **uniform_options(), "train_weights": False, "epochs": 2}
    config = make_config(options)
    folder = RunFolder.create(tmp_path / "frozen", "frozen", config.flat())
    start = open_search(config)
    run_search(config, folder)
    end = reopen(folder)
    names = {name for name, _ in start.module.named_parameters()}
    for name, value in end.module.state_dict().items():
        if name in names:
            assert torch.equal(value, start.module.state_dict()[name]), name


def test_an_epoch_probe_s_values_stand_in_the_records(tmp_path: Path) -> None:
    config = make_config({**TINY, "strategy": "darts", "epochs": 2})
    seen: list[dict[str, Any]] = []

    def measure(module: SearchModule, loaders: Any) -> dict[str, Any]:
        costs = sample_costs(module, next(iter(loaders[-1]))).output_cost.tolist()
        seen.append({"alpha": float(module.strategy.groups[0].alpha.sum()), "costs": costs})
        return seen[-1]

    probed = RunFolder.create(tmp_path / "probed", "probed", config.flat())
    probe = EpochProbe("looks", measure)
    run_search(config, probed, statistics=[probe])
    numbered = [{"epoch": epoch, **value} for epoch, value in enumerate(seen)]
    assert probe.values(probed) == numbered and len(seen) == 2
    for value, record in zip(seen, probed.records(), strict=True):
        total = sum(a or 0.0 for row in record.alpha.values() for a in row.values())
        assert value["alpha"] == pytest.approx(total, abs=1e-6)
    plain = RunFolder.create(tmp_path / "plain", "plain", config.flat())
    run_search(config, plain)
    for one, other in zip(probed.records(), plain.records(), strict=True):  # it only looks
        own = {name: value for name, value in one.statistics.items() if name != "looks"}
        assert replace(one, statistics=own, seconds=None) == replace(other, seconds=None)
    with pytest.raises(RunError, match="run plain: its records lack looks"):
        probe.values(plain)


def test_single_images_add_up_to_the_batch() -> None:
    """Fact 1 image by image, and the batch's own cost of the output edges."""
    found = tiny(strategy="darts", head="bias_free")
    module = found.module.double()
    images, labels = next(iter(found.loaders.train))
    one = sample_costs(module, (images.double(), labels))
    assert one.output_cost == pytest.approx(one.loss - one.entropy, abs=1e-10)
    [group] = found.strategy.groups
    costs = cost_samples(module, [(images.double(), labels)], 1)["cell"][0, -1]
    z = torch.softmax(group.logits().detach(), dim=-1).numpy()
    outputs = [3, 4, 5]
    assert (z * costs)[outputs].sum() == pytest.approx(one.output_cost.mean(), abs=1e-10)
    with torch.no_grad():
        group.draw = Draw(torch.softmax(group.logits(), dim=-1), group.allowed)
        predicted = module.model(images.double()).argmax(dim=-1)
    assert one.correct.tolist() == (predicted == labels).tolist()


def test_marginals_are_means_over_cells() -> None:
    table = load_table()
    cube = accuracy_cube(table, "cifar10", "valid")
    cell = (3, 1, 0, 4, 2, 3)
    values = table.values("cifar10", "valid")
    assert cube[cell] == pytest.approx(float(values[table.index_of(format_arch(cell))]))
    given = cell_marginals(cube, cell)
    other = (3, 1, 2, 4, 2, 3)
    assert given[2, 2] == pytest.approx(float(values[table.index_of(format_arch(other))]))
    archs = [index for index in range(len(table)) if "nor_conv_3x3~2|" in table.arch(index)]
    assert len(archs) == 3125
    assert mean_marginals(cube)[5, 3] == pytest.approx(float(values[archs].mean()), abs=1e-3)


def test_shuffles_permute_and_put_back() -> None:
    found = tiny(strategy="darts_fixed_alpha", cells=3)
    model = found.module.model
    order = np.random.default_rng(0)
    layers = list(model.layers)
    with shuffled_layers(model, order):
        assert list(model.layers) != layers
        assert {id(layer) for layer in model.layers} == {id(layer) for layer in layers}
        stages = [list(model.layers)[a:b] for a, b in ((0, 3), (4, 7), (8, 11))]
        assert [set(stage) for stage in stages] == [
            set(layers[a:b]) for a, b in ((0, 3), (4, 7), (8, 11))
        ]
    assert list(model.layers) == layers
    [cell, *_] = [m for m in model.modules() if isinstance(m, SupernetCell)]
    edges = list(cell.edges.values())
    with shuffled_edges(model, order):
        assert list(cell.edges.values()) != edges
        assert set(cell.edges.values()) == set(edges)
    assert list(cell.edges.values()) == edges


@pytest.mark.parametrize("supernet", ["plain", "fused"])
def test_a_shuffle_of_edges_is_that_of_their_weights(supernet: str, tmp_path: Path) -> None:
    """However the search ran its cells, the shuffled network is the one whose weights stand on the
    other edges.
    """
    config = make_config({**TINY, "strategy": "darts_fixed_alpha", "supernet": supernet})
    folder = RunFolder.create(tmp_path / "run", "run", config.flat())
    run_search(config, folder)
    found = opened(folder)
    model, [group] = found.module.model.eval(), found.strategy.groups
    group.draw = Draw(found.module.evaluated(group), group.allowed)
    images, _ = next(iter(found.loaders.evaluation))
    with torch.no_grad(), shuffled_edges(model, np.random.default_rng(0)):
        seen = model(images)
        state = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        before = model(images)
        model.load_state_dict(state)
        moved = model(images)
    assert (seen - before).abs().max() > 1e-3
    torch.testing.assert_close(seen, moved, rtol=1e-5, atol=1e-6)


def test_batches_are_not_used_up_by_a_probe() -> None:
    found = tiny(strategy="darts")
    assert len(cost_samples(found.module, islice(found.loaders.train, 5), 5)["cell"]) == 2


def test_single_images_of_a_dead_cell_cost_nothing() -> None:
    found = tiny(strategy="darts", head="bias_free", operations={"*": ["none"]})
    one = sample_costs(found.module, next(iter(found.loaders.train)))
    assert not one.output_cost.any()
    assert one.loss - one.entropy == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("space", ["minimal", "simplified"])
def test_the_output_costs_l_minus_h_where_an_output_node_feeds_another(space: str) -> None:
    """Fact 1 for concatenated cells: <dL/dy, y> is L - H, the sum of the edges' costs is not."""
    found = tiny(strategy="darts", space=space, head="bias_free", cells=2)
    module = found.module.double()
    [group] = found.strategy.groups
    with torch.no_grad():  # a skip that is worth something, so that the sum is clearly off
        group.alpha[:, group.operations.index("skip_connect")] = 2.0
    images, labels = next(iter(found.loaders.train))
    one = sample_costs(module, (images.double(), labels))
    assert one.output_cost == pytest.approx(one.loss - one.entropy, abs=1e-10)
    costs = cost_samples(module, [(images.double(), labels)], 1)["cell"][0, -1]
    z = torch.softmax(group.logits().detach(), dim=-1).numpy()
    assert abs((z * costs).sum() - one.output_cost.mean()) > 1e-6


def test_distinct_orders_are_those_of_the_permutations() -> None:
    conv = ["nor_conv_3x3"]
    residual = {"*": ["none"], "0-1": conv, "1-3": conv, "0-3": ["skip_connect"]}
    for operations, edges in ((None, 719), (residual, 1)):
        found = tiny(strategy="darts_fixed_alpha", cells=3, operations=operations)
        assert distinct_orders(found.module.model) == {"layers": 5, "edges": edges}
    model = found.module.model
    seen = set()
    for seed in range(60):
        with shuffled_layers(model, np.random.default_rng(seed)):
            stage = [model.layers[place] for place in (0, 1, 2)]
            seen.add(tuple(map(id, stage)))
    assert len(seen) == 5  # all orders of three cells but their own
