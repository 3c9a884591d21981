"""FairDARTS on the one loop: the zero-one loss and the threshold."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_search import check_runs, images, tiny_space
from torch import nn

from nni_wiring.strategies.fair_darts import FairDARTS
from nni_wiring.supernet.edge_group import Draw


@pytest.mark.parametrize("kind", ["ours", "hub"])
@pytest.mark.parametrize("optimisation", ["single_level", "bi_level"])
def test_runs(kind: str, optimisation: str) -> None:
    check_runs(FairDARTS(optimisation=optimisation), kind)


def test_the_loss_of_alpha_against_the_closed_form() -> None:
    """dL/dalpha = Z (1 - Z) (C - 2 w (Z - 1/2) / n), with C from the supernet at a leaf Z."""
    torch.manual_seed(1)
    strategy = FairDARTS(zero_one_weight=7.0, alpha_init=1.0)
    model = strategy.mutate_model(tiny_space(operations={"0-1": ["none", "nor_conv_3x3"]})).double()
    (group,) = strategy.groups
    pixels, labels = images()

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(pixels.double()), labels)

    group.draw = strategy.draw(group, "alpha", torch.Generator())
    (loss() + strategy.parts.regulariser()).backward(inputs=strategy.parts.alpha.inputs())
    alpha = group.alpha.detach()
    z = (1 / (1 + (-alpha).exp())) * group.mask
    leaf = z.clone().requires_grad_()
    group.draw = Draw(leaf, group.allowed)
    (cost,) = torch.autograd.grad(loss(), leaf)
    entries = 5 * 5 + 2
    expected = z * (1 - z) * (cost - 2 * 7.0 * (z - 0.5) / entries) * group.mask
    torch.testing.assert_close(group.alpha.grad, expected, rtol=1e-9, atol=1e-12)


def test_zero_one_loss_is_least_at_zero_and_one() -> None:
    strategy = FairDARTS()
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    for alpha, value in ((0.0, 0.0), (50.0, -10 / 4), (-50.0, -10 / 4)):
        group.alpha.data.fill_(alpha)
        assert strategy.parts.regulariser().item() == pytest.approx(value, abs=1e-6)


def test_an_edge_below_the_threshold_becomes_none() -> None:
    strategy = FairDARTS()
    strategy.mutate_model(tiny_space(operations={"2-3": ["skip_connect", "nor_conv_1x1"]}))
    (group,) = strategy.groups
    index = group.operations.index
    group.alpha.data.fill_(-1.0)
    border = math.log(0.85 / 0.15)
    group.alpha.data[0, index("nor_conv_3x3")] = border + 0.01
    group.alpha.data[1, index("nor_conv_3x3")] = border - 0.01
    group.alpha.data[2, index("none")] = 9.0  # strong, but no operation to keep
    group.alpha.data[3, index("none")] = 9.0
    group.alpha.data[3, index("skip_connect")] = border + 0.01
    group.alpha.data[5, index("nor_conv_1x1")] = 0.0  # below, but none is not allowed here
    names = [group.operations[k] for k in strategy.select(group)]
    assert names == ["nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_1x1"]


def test_threshold_zero_is_plain_magnitude() -> None:
    strategy = FairDARTS(threshold=0.0, selection="magnitude", alpha_init=1.0)
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    assert strategy.select(group) == group.alpha.argmax(-1).tolist()


def test_defaults_are_the_papers() -> None:
    settings, theta = FairDARTS().settings, FairDARTS.theta
    assert (settings.zero_one_weight, settings.threshold) == (10.0, 0.85)
    assert (settings.alpha_lr, settings.alpha_weight_decay, settings.clip) == (3e-3, 1e-3, 5)
    assert (theta.epochs, theta.batch_size, theta.lr, theta.lr_min) == (50, 128, 0.005, 0.001)
