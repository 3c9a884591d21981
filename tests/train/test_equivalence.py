"""A cell trained alone is the supernet under a one-hot Z: the same losses, the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nni_wiring.strategies.registry import strategy_class
from nni_wiring.supernet.evaluation import fixed_draw, one_hot
from nni_wiring.train.config import make_train_config
from nni_wiring.train.loop import make_optimizer, train_step
from nni_wiring.train.network import FixedNetwork, build_network
from search_spaces.registry import build_space

NB201 = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), "
    "('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('dil_conv_5x5', 0), ('skip_connect', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
NETWORK = {"channels": 4, "affine": True, "track_stats": True}


def supernet_of(space: str, cells: int, chosen: dict[str, str]) -> tuple[nn.Module, Any]:
    """The whole space as a supernet in float64, its Z fixed at one cell."""
    strategy = strategy_class("darts")()
    model = strategy.mutate_model(build_space(space, num_classes=10, cells=cells, **NETWORK))
    model = model.double()
    several = len(strategy.groups) > 1
    for group in strategy.groups:
        names = [chosen[f"{group.name}/{edge}" if several else edge] for edge in group.edges]
        group.draw = fixed_draw(group, one_hot(group, [group.operations.index(n) for n in names]))
    return model, strategy


def supernet_name(name: str, chosen: dict[str, str]) -> str:
    """The supernet's name of a weight; of DARTS' three cells the second and the third reduce."""
    before, edges, after = name.partition("edges.")
    if not edges:
        return name
    edge, _, rest = after.partition(".")
    kind = "normal" if before.startswith("layers.0.") else "reduce"
    operation = chosen[edge] if edge in chosen else chosen[f"{kind}/{edge}"]
    return f"{before}edges.{edge}.{operation}.{rest}"


@pytest.mark.parametrize(
    ("space", "arch", "cells"), [("nasbench201", NB201, 1), ("darts", GENOTYPE, 3)]
)
def test_training_a_fixed_cell_is_training_the_supernet_with_one_hot_z(
    space: str, arch: str, cells: int
) -> None:
    options = {"arch": arch, "space": space, "cells": cells, "lr": 0.05, **NETWORK}
    config = make_train_config(options)
    torch.manual_seed(0)
    supernet, strategy = supernet_of(space, cells, config.cell)
    network = FixedNetwork(build_network(config, 10).double(), None)
    names = {name: supernet_name(name, config.cell) for name in network.network.state_dict()}
    weights = supernet.state_dict()
    network.network.load_state_dict({name: weights[names[name]].clone() for name in names})
    alphas = {id(parameter) for group in strategy.groups for parameter in group.parameters()}
    theta = [p for p in supernet.parameters() if id(p) not in alphas]
    reference = torch.optim.SGD(theta, 0.05, 0.9, weight_decay=5e-4, nesterov=True)
    optimizer = make_optimizer(network, config)
    start = {name: value.clone() for name, value in network.network.state_dict().items()}
    for _ in range(4):
        images = torch.randn(8, 3, 16, 16, dtype=torch.float64)
        labels = torch.randint(10, (8,))
        reference.zero_grad()
        expected = nn.functional.cross_entropy(supernet(images), labels)
        expected.backward()
        reference.step()
        loss, _, _ = train_step(network, optimizer, (images, labels), config.regularisation)
        torch.testing.assert_close(loss, expected.detach(), rtol=0, atol=1e-12)
        theirs = supernet.state_dict()
        for name, value in network.network.state_dict().items():
            torch.testing.assert_close(value, theirs[names[name]], rtol=0, atol=1e-10)
    moved = [n for n, v in network.network.state_dict().items() if not torch.equal(v, start[n])]
    assert "classifier.weight" in moved and any(".edges." in name for name in moved)
