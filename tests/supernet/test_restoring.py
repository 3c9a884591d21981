"""The one context that puts a supernet back: held against copies that the test itself made."""

from __future__ import annotations

import copy

import one_shot
import pytest
import torch
from torch import nn

from nni_wiring.strategies.darts import DARTS
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.evaluation import evaluation_mode, supernet_accuracy
from nni_wiring.supernet.restoring import unmoved


@pytest.fixture
def model() -> nn.Module:
    """A supernet in training, with running statistics, gradients and a draw; one part frozen."""
    torch.manual_seed(0)
    model = DARTS(supernet="plain").mutate_model(one_shot.tiny_space(track_stats=True))
    for group in groups(model):
        group.draw = Draw(group.logits().softmax(-1).detach(), group.allowed)
    images, labels = one_shot.random_batches(1, seed=1)[0]
    nn.functional.cross_entropy(model(images), labels).backward()
    model.stem.eval()
    return model


def groups(model: nn.Module) -> list[EdgeGroup]:
    return [module for module in model.modules() if isinstance(module, EdgeGroup)]


def step(model: nn.Module) -> None:
    """A gradient step that moves weights, statistics and gradients."""
    images, labels = one_shot.random_batches(1, seed=2)[0]
    nn.functional.cross_entropy(model(images), labels).backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()


def modes(model: nn.Module) -> list[tuple[bool, object]]:
    return [(m.training, getattr(m, "track_running_stats", None)) for m in model.modules()]


@pytest.mark.parametrize("failure", [None, ValueError("in the block")])
def test_everything_is_put_back_however_the_block_ends(
    model: nn.Module, failure: Exception | None
) -> None:
    before = copy.deepcopy(model.state_dict())
    places = {name: value.data_ptr() for name, value in model.state_dict().items()}
    gradients = [
        (p, p.grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()
    ]
    draws, kept_modes = [group.draw for group in groups(model)], modes(model)
    tensors = [*model.parameters(), *model.buffers()]
    try:
        with unmoved(
            tensors, gradients=model.parameters(), draws=groups(model), modes=model.modules()
        ):
            assert all(parameter.grad is None for parameter in model.parameters())
            step(model)
            moved = [
                name for name, v in model.state_dict().items() if not torch.equal(v, before[name])
            ]
            assert any("running_mean" in name for name in moved)
            assert any("weight" in name for name in moved)
            groups(model)[0].draw = None
            model.eval()
            if failure is not None:
                raise failure
    except ValueError as error:
        assert error is failure
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) and value.data_ptr() == places[name], name
    assert any(gradient is not None for _, gradient, _ in gradients)
    for parameter, gradient, value in gradients:
        assert parameter.grad is gradient
        assert gradient is None or torch.equal(gradient, value)
    assert all(group.draw is draw for group, draw in zip(groups(model), draws, strict=True))
    assert modes(model) == kept_modes


def test_what_is_not_named_moves(model: nn.Module) -> None:
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    with unmoved(model.buffers()):
        step(model)
    for name, value in model.named_buffers():
        assert torch.equal(value, statistics[name]), name
    assert any(not torch.equal(value, weights[name]) for name, value in model.named_parameters())


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_an_evaluation_leaves_no_trace(model: nn.Module, batch_statistics: bool) -> None:
    before, kept_modes = copy.deepcopy(model.state_dict()), modes(model)
    draws = [group.draw for group in groups(model)]
    z = {group.name: torch.full(group.mask.shape, 0.5) for group in groups(model)}
    batches = one_shot.random_batches(2, seed=3)
    supernet_accuracy(model, batches, z, batch_statistics=batch_statistics)
    with pytest.raises(KeyError), evaluation_mode(model, batch_statistics=batch_statistics):
        assert not torch.is_grad_enabled()
        raise KeyError
    assert torch.is_grad_enabled() and modes(model) == kept_modes
    assert all(group.draw is draw for group, draw in zip(groups(model), draws, strict=True))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
