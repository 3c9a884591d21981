"""Zero-cost proxies against their definitions, unit by unit and weight by weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nni_wiring.studies.cost_ranks import STUDY, cell_proxies
from nni_wiring.studies.operation_costs import uniform_options
from nni_wiring.studies.zero_cost import naswot, synflow, without_norms


def small_network() -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    layers += [nn.Conv2d(4, 5, 1, bias=False), nn.BatchNorm2d(5), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * 16, 7, bias=False)).double()


def test_naswot_counts_the_relus_that_agree() -> None:
    network = small_network()
    images = torch.randn(6, 3, 4, 4, dtype=torch.float64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = torch.relu(_normalised(network[0](images), network[1]))
    second = torch.relu(_normalised(network[3](first), network[4]))
    units = [torch.cat([a.flatten(), b.flatten()]) for a, b in zip(first, second, strict=True)]
    states = [unit > 0 for unit in units]
    kernel = [[sum(int(x == y) for x, y in zip(a, b, strict=True)) for b in states] for a in states]
    expected = np.linalg.slogdet(np.array(kernel, dtype=float))[1]
    assert naswot(network, images) == pytest.approx(expected, rel=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training


def _normalised(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + norm.eps).sqrt()


def test_synflow_of_a_chain_is_its_flow_once_a_layer() -> None:
    """R is of degree one in every layer's weights, so each layer's sum is R (Euler)."""
    network = small_network()
    weights = [network[0].weight, network[3].weight, network[7].weight]
    before = [weight.detach().clone() for weight in weights]
    ones = torch.ones(1, 3, 4, 4, dtype=torch.float64)
    hidden = nn.functional.conv2d(ones, before[0].abs(), padding=1)
    flow = nn.functional.conv2d(hidden, before[1].abs()).flatten(1) @ before[2].abs().T
    found = synflow(network, weights, torch.randn(3, 4, 4, dtype=torch.float64))
    assert found == pytest.approx(3 * float(flow.sum()), rel=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(weights, before, strict=True))
    assert all(weight.grad is None for weight in weights)


def test_norms_do_nothing_while_they_are_off() -> None:
    network = small_network()[:2].eval()
    network[1].running_mean.fill_(3.0)
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    plain = network[0](images)
    with without_norms(network):
        assert torch.equal(network(images), plain)
    assert not torch.allclose(network(images), plain)


@pytest.mark.slow
def test_only_the_relus_and_weights_of_the_cell_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from nni_wiring.search.config import make_config
    from nni_wiring.search.reopen import open_search

    small = {**STUDY.small, "data": "digits", "supernet": "plain"}
    found = open_search(make_config({**small, **uniform_options(), "seed": 1}))
    units = []
    logdet = np.linalg.slogdet
    monkeypatch.setattr(
        "numpy.linalg.slogdet", lambda kernel: units.append(kernel[0, 0]) or logdet(kernel)
    )
    side = found.loaders.image_shape[1]
    a_conv = sum(4 * 2**stage * (side // 2**stage) ** 2 for stage in range(3))  # its input's ReLU
    before = {name: value.clone() for name, value in found.module.state_dict().items()}
    flows = [
        cell_proxies(found, cell, 16)[1] for cell in ([1] * 6, [3] + [1] * 5, [3, 1, 1, 2, 1, 1])
    ]
    assert np.diff(units).tolist() == [a_conv, a_conv]
    assert len(set(flows)) == 3 and min(flows) > 0
    # a cell that hands on nothing lets nothing flow
    assert cell_proxies(found, [0] * 6, 16)[1] == 0
    assert all(torch.equal(v, before[n]) for n, v in found.module.state_dict().items())
